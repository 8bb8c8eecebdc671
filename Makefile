# One command a task. Each makes what it needs: a virtual environment in .venv with the pinned packages.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODULES := $(wildcard connectors/*.py workflows/*.py activities/*.py worker/*.py)
ARGS ?=

.PHONY: help demo test test-fast bench faults mutants lint format lock clean
.DEFAULT_GOAL := help

help: ## Show the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

demo: $(VENV)/.installed ## Play the flights of a stormy day through Temporal (KEEP=1 leaves the server up)
	$(BIN)/python -m examples.flights.demo $(if $(KEEP),--keep)

test: $(VENV)/.installed ## Run all tests, with coverage (ARGS="-k name" for some)
	$(BIN)/python -m pytest --cov --cov-report=term $(ARGS)

test-fast: $(VENV)/.installed ## Run the tests that need no server
	$(BIN)/python -m pytest tests/unit $(ARGS)

bench: $(VENV)/.installed ## Measure the pump beside the bare client; run nothing else meanwhile
	$(BIN)/python benchmarks/pump.py $(ARGS)

faults: $(VENV)/.installed ## Kill, freeze and cut off workers and the server for MINUTES=10, and check that all effects are right
	$(BIN)/python -m tests.faults.main

mutants: $(VENV)/.installed ## Change the code that carries the promises, and count the changes that no test sees
	$(BIN)/python -m tests.mutants.main

lint: $(VENV)/.installed ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p pumphouse.connectors -p pumphouse.workflows -p pumphouse.activities -p pumphouse.worker
	$(BIN)/mypy tests examples benchmarks
	$(BIN)/pyright

format: $(VENV)/.installed ## Format the code, and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(VENV)/.installed ## Pin the packages anew, after a change in pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements/dev.txt

clean: ## Remove what the other commands made
	rm -rf $(VENV) build *.egg-info .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis

# uv installs the pinned packages in seconds where pip takes minutes; pip brings it.
$(VENV)/.packages: requirements/dev.txt
	@echo "Making $(VENV) and installing the pinned packages into it ..."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements/dev.txt
	@touch $@

# Modules are linked one by one (see design: the strict editable install), so a new one needs a new install.
$(VENV)/.installed: $(VENV)/.packages pyproject.toml $(MODULES)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@
