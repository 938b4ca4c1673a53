"""Calls spread over several servers: who they are, who gets a call, what is repeated."""
