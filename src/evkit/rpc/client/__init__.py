"""One peer to call: how it is reached, and what waits meanwhile."""
