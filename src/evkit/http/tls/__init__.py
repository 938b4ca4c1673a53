"""What a server shows of itself over TLS, and whom it lets in."""
