# Everything a newcomer or CI needs is behind these targets; each sets up what it uses in .venv/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run test lint check bench bench-core bench-client bench-dns bench-rpc bench-websocket bench-workers clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[all]" --group dev
	@touch $@

run: $(VENV)/.installed  ## serve this folder on http://127.0.0.1:8080
	$(BIN)/evkit serve . --bind 127.0.0.1:8080

test: $(VENV)/.installed  ## run all tests on every supported Python that this machine has
	sh scripts/test-pythons $(BIN)/python

lint: $(VENV)/.installed  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint  ## what every commit must pass: lint, format, types, tests (on one Python)
	$(BIN)/python -bb -X dev -m pytest -q

$(VENV)/.bench: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --group bench
	@touch $@

bench: $(VENV)/.bench  ## measure evkit beside its peers (ARGS="--seconds 3" and others: see benchmarks/README.md)
	$(BIN)/python benchmarks/bench_http.py $(ARGS)

bench-core: $(VENV)/.bench  ## measure the core beside libevent in C, asyncio and uvloop
bench-client: $(VENV)/.bench  ## measure the HTTP client beside aiohttp and httpx
bench-dns: $(VENV)/.bench  ## measure the resolver beside aiodns, pycares, dnspython and evdns
bench-rpc: $(VENV)/.bench  ## measure RPC beside aio-msgpack-rpc, msgpack-rpc-python, grpcio and rpyc
bench-websocket: $(VENV)/.bench  ## measure WebSockets beside websockets and picows
bench-workers: $(VENV)/.bench  ## measure what a second worker brings
bench-core bench-client bench-dns bench-rpc bench-websocket bench-workers:
	$(BIN)/python benchmarks/$(subst -,_,$@).py $(ARGS)

clean:  ## remove what the targets made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis benchmarks/build benchmarks/results
	find . -name __pycache__ -prune -exec rm -rf {} +
