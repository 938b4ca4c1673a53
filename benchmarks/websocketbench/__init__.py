"""The parts of the WebSocket benchmark: `bench_websocket.py` puts them together, `corebench` measures and reports."""
