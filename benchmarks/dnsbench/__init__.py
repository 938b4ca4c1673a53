"""The parts of the resolver's benchmark: `bench_dns.py` puts them together, `corebench` measures and reports."""
