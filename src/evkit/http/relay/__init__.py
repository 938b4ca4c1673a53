"""Requests that are passed on to another server.

decider:  fields (what of a message goes on, and what is said of where it came from)
doers:    passage (one request and its response), handler (refuses, or makes a passage)
"""
