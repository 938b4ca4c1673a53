"""The parts of the client's benchmark: `bench_client.py` puts them together, `corebench` measures and reports."""
