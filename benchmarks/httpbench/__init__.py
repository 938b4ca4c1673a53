"""The parts of the HTTP benchmark: the load, the servers, the measurement and the report, each in a module.

Nothing here imports evkit: it is one of the servers that `httpbench.peers` starts as programs of their own.
"""
