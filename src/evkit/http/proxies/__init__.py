"""What a proxy in front of a server says of its clients: in front of the first byte, and in header fields."""
