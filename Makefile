# Everything a newcomer needs: `make run`, `make test`. Python >= 3.11, pip and make suffice.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(PYTHON) -m pip --python $(BIN)/python install --disable-pip-version-check
LOG := $(VENV)/install.log
SOURCES := pyproject.toml requirements.txt

# What is tried much longer, and killed much more often, than in `make test`.
CHAOTIC := tests/unit $(addprefix tests/integration/services/,test_coverage_truth.py \
  test_corrections.py test_archive_trouble.py) $(addprefix tests/acceptance/,test_backfill_process.py \
  test_collector_process.py test_chain_process.py test_rehearsal.py \
  test_archive_process.py test_month_life.py test_units_through_redis.py \
  test_simulated_year.py) \
  $(addprefix tests/integration/serving/,test_streams_and_redis.py test_described_answers.py)

# pip's output is shown only when it fails.
define install
@$(PIP) $(1) > $(LOG) 2>&1 || { cat $(LOG) >&2; exit 1; }
endef

COMPOSE := docker compose --file deploy/docker-compose.yml
# What to do where Docker is missing.
define compose
@docker compose version > /dev/null 2>&1 || { echo "Docker with Compose is missing; $(1)." >&2; exit 2; }
endef

.DEFAULT_GOAL := help
.PHONY: help run build up down logs test chaos lint security sbom fuzz bench openapi screenshots clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*##/ { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.runtime ## Collect, serve and show, on the embedded store and the paper exchange (MINUTES=3 bounds it)
	@$(BIN)/data-fetch up $(if $(MINUTES),--minutes $(MINUTES))

build: ## Build the image of the containers
	$(call compose,make run installs and starts it without)
	@$(COMPOSE) build

up: deploy/.env ## Build and start the containers (run-as-a-service.md)
	$(call compose,make run starts collector API and dashboard without)
	@$(COMPOSE) up --build --detach

down: ## Stop the containers; what they stored stays
	$(call compose,Ctrl-C ends what make run has started)
	@$(COMPOSE) down

logs: ## Follow what the containers print
	$(call compose,the lines of make run are in logs/)
	@$(COMPOSE) logs --follow --tail 100

deploy/.env:
	@echo "The passwords of the containers are missing. Write $@ as in" \
	  "docs/howto/run-as-a-service.md, Containers on one machine; make run needs none." >&2; exit 2

test: $(VENV)/.development ## Run the whole test suite
	@# Four workers on two cores: half of the time a test waits for a process or a clock.
	@$(BIN)/pytest -n 4 --dist worksteal $(ARGS)

chaos: $(VENV)/.development ## The tests of gaps, kills, corrections and laws, much longer (hours)
	@CHAOS=1 $(BIN)/pytest -n 2 --dist worksteal --timeout 0 $(ARGS) $(CHAOTIC)

lint: $(VENV)/.development ## Formatting, lint, types and the import contract
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

security: $(VENV)/.development ## Look for unsafe code, secrets, and dependencies with known flaws
	@# SQL in texts (B608) is looked for by `make lint`, which has the exceptions in their lines.
	@$(BIN)/bandit --quiet --recursive --severity-level medium --skip B608 data_fetch alembic examples
	@# The samples in the baseline are known. In the copy their lines may have moved (3).
	@cp .secrets.baseline $(VENV)/secrets.baseline
	@files=$$(git ls-files -- . ':!.secrets.baseline' ':!docs/pictures') && { $(BIN)/detect-secrets-hook --no-verify \
	  --baseline $(VENV)/secrets.baseline $$files > $(LOG) || [ $$? -eq 3 ] || { cat $(LOG) >&2; exit 1; }; }
	@$(BIN)/python tests/support/dependency_audit.py

sbom: $(VENV)/bill/.runtime ## Write the bill of materials of what the platform needs to sbom.json
	@$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
	  --output-file sbom.json $(VENV)/bill/bin/python

fuzz: $(VENV)/.fuzzing ## Search bytes of others that break a parser (MINUTES=60, divided among all)
	@PYTHONPATH=tests/support:. $(BIN)/python tests/support/fuzz_foreign_bytes.py $(or $(MINUTES),60)

bench: $(VENV)/.benchmarks ## Measure against bare versions of the same work
	@$(BIN)/python -m benchmarks

openapi: $(VENV)/.development ## Renew docs/reference/openapi.json; kept promises of the API stay
	@$(BIN)/data-fetch serve --openapi > docs/reference/openapi.json
	@$(BIN)/python tests/support/api_promises.py

screenshots: $(VENV)/.development ## Renew the pictures of the dashboard in docs/pictures
	@$(BIN)/python tests/support/screenshots.py

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
	$(call install,-r requirements.txt)
	$(call install,--no-deps --editable .)
	@touch $@

$(VENV)/.development: requirements-dev.txt $(VENV)/.runtime
	@echo "Installing what the tests need ..."
	$(call install,-r requirements-dev.txt)
	@touch $@

# Without what tests and checks need, which the other environment has as well.
$(VENV)/bill/.runtime: requirements.txt $(VENV)/.development
	@$(PYTHON) -m venv --clear --without-pip $(VENV)/bill
	@echo "Installing what the platform needs, apart ..."
	@$(PYTHON) -m pip --python $(VENV)/bill/bin/python install --disable-pip-version-check \
	  -r requirements.txt > $(LOG) 2>&1 || { cat $(LOG) >&2; exit 1; }
	@touch $@

$(VENV)/.benchmarks: requirements-bench.txt $(VENV)/.development
	@echo "Installing what the benchmarks compare with ..."
	$(call install,-r requirements-bench.txt)
	@touch $@

$(VENV)/.fuzzing: requirements-fuzz.txt $(VENV)/.development
	@echo "Installing what searches for inputs ..."
	$(call install,-r requirements-fuzz.txt)
	@touch $@
