# Everything a newcomer needs: `make run`, `make test`. Python >= 3.11, pip and make suffice.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check
SOURCES := pyproject.toml requirements.txt

.DEFAULT_GOAL := help
.PHONY: help run test chaos lint bench clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*##/ { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.runtime ## Collect on the embedded store and the paper exchange (MINUTES=3 bounds it)
	@$(BIN)/data-fetch run $(if $(MINUTES),--minutes $(MINUTES))

test: $(VENV)/.development ## Run the whole test suite
	@$(BIN)/pytest -n 2 --dist worksteal $(ARGS)

chaos: $(VENV)/.development ## The tests of gaps, kills and corrections, twenty times as long
	@CHAOS=1 $(BIN)/pytest -n 2 $(ARGS) tests/integration/services/test_coverage_truth.py \
	  tests/integration/services/test_corrections.py tests/acceptance/test_backfill_process.py

lint: $(VENV)/.development ## Formatting, lint, types and the import contract
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/.development ## Measure against bare versions of the same work
	@$(BIN)/python -m benchmarks

clean: ## Remove the environment and caches (never data/ or logs/)
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 ..." >&2; exit 2; }
	@echo "Making the environment in $(VENV) ..."
	@# Some distributions ship venv without ensurepip; the pip outside fills such an environment.
	@$(PYTHON) -m venv --without-pip $(VENV)

$(VENV)/.runtime: $(SOURCES) | $(BIN)/python
	@echo "Installing what the platform needs ..."
	@$(PIP) -r requirements.txt
	@$(PIP) --no-deps --editable .
	@touch $@

$(VENV)/.development: requirements-dev.txt $(VENV)/.runtime
	@echo "Installing what the tests need ..."
	@$(PIP) -r requirements-dev.txt
	@touch $@
