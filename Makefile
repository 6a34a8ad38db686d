# Everything needs git, make and Python 3.11 or newer, and nothing else: the rest goes into .venv.
# `make help` lists what there is.

PYTHON ?= python3
ARGS ?=
UV_VERSION := 0.13.9
BIN := .venv/bin
# Set in containers and CI, it would have every process compile its imports anew: 6 seconds for each of Dagster's runs.
export PYTHONDONTWRITEBYTECODE :=
UV_PIP := $(BIN)/uv pip
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench lock clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

demo: $(READY) ## contacts from the local Snowflake through S3 to the local Marketo; ARGS="--exit --contacts 1000"
	@$(BIN)/marketo-assets demo $(ARGS)

test: lint ## lint, then the whole test suite; ARGS="-k sandbox" goes to pytest
	$(BIN)/pytest -n 4 --dist worksteal $(ARGS)

lint: $(READY) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY) ## measure; writes bench/results.json and bench/README.md
	$(BIN)/python -m bench $(ARGS)

lock: $(READY) ## make requirements.lock anew from pyproject.toml
	$(UV_PIP) compile pyproject.toml --all-extras --universal --generate-hashes --no-annotate --no-header \
		--python-version 3.11 -o requirements.lock

clean: ## remove .venv and everything made here
	rm -rf .venv .demo .sandbox build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .tmp_dagster_home_*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is newer than what it was made from exactly when the environment is up to date.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo missing)." \
			"Name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(UV_PIP) sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(UV_PIP) install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@
