"""A connection: what moves its bytes, what serves its requests, and what calls."""
