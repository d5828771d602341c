# Two commands for a person (`make demo`, `make test`); the rest is for those who build fulmen.
# Everything happens in ./.venv, from the committed locks. Only relative paths, so that a folder with spaces works.

SHELL := /bin/bash
PY := .venv/bin/python
WORKERS ?= auto

.PHONY: help demo run test soak check lint types walls bench interop twin profile fuzz mutants lock clean

help: ## what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

demo: ## the whole story, for real, without questions: open, pay, route, crash, close
	@scripts/setup run
	@$(PY) -m demo

run: ## keep a node up on the embedded chain with two neighbours; use it from a second terminal
	@scripts/setup run
	@$(PY) -m demo.playground

test: ## all tests, except those that take minutes
	@scripts/setup dev
	@$(PY) -m pytest -n $(WORKERS) --dist worksteal -m "not soak"

soak: ## the tests that take minutes
	@scripts/setup dev
	@$(PY) -m pytest -n $(WORKERS) -m soak

check: lint types walls test ## everything that must hold before a commit lands

lint:
	@scripts/setup dev
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types:
	@scripts/setup dev
	@$(PY) -m mypy

walls:
	@scripts/setup dev
	@$(PY) scripts/walls.py

bench: ## first figures beside the measured floor of this machine
	@scripts/setup dev
	@$(PY) -m bench

interop: ## build what others wrote, once, and play the matrix of docs/interop.md with it
	@scripts/setup dev
	@$(PY) -m interop --write

twin: ## put five thousand cases to Bitcoin Core and to the embedded chain: both must say the same
	@scripts/setup dev
	@$(PY) -m interop.twin

profile: ## where the time of a payment goes, room by room
	@scripts/setup dev
	@$(PY) -m bench.profile

SECONDS_EACH ?= 20
fuzz: ## every decoder and the channel machine under any bytes: 20 seconds each, two at a time
	@scripts/setup dev
	@$(PY) -m fuzz --seconds $(SECONDS_EACH) --jobs 2

PACKAGES ?= channel commitments onchain transactions
mutants: ## what would the tests say if the core were a little wrong? (takes an hour)
	@scripts/setup dev
	@for package in $(PACKAGES); do $(PY) -m mutants $$package || exit 1; done

lock: ## make the locks again (needs uv)
	@scripts/lock

clean: ## remove what setup, tests and checks made
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .fuzz .mutants
	@rm -rf src/*.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
