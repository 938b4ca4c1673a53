"""The HTTP client: one call for a request, over connections that are kept for the next."""
