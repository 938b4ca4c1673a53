"""The access log: lines for requests, and the file that they go to."""
