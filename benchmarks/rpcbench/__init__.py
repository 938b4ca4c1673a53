"""The parts of the RPC benchmark: `bench_rpc.py` puts them together, `corebench` measures and reports."""
