"""The server: from a client that comes in to the last byte of its last reply."""
