"""The parts of ``bench_workers.py``: `measure` runs a crew and its load, `report` makes the table."""
