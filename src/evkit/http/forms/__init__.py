"""The bodies that forms send: in one line, and in parts."""
