# Every target sets up what it needs: a virtual environment in .venv, from the lock file, once.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test bench lint setup lock
setup: .venv/.ready

.venv/.ready: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# Sandbox, databases, Dagster and API on this machine; stays up until Ctrl-C. `make demo ARGS=--once` stops after it.
demo: setup
	$(BIN)/city-data demo $(ARGS)

# Prints each figure as a ratio to a floor measured in the same run; takes some minutes.
bench: setup
	$(BIN)/python -m city_data_tests.bench $(ARGS)

test: lint
	$(BIN)/python -m pytest -n 2

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Names no package index, so that the lock is good behind any mirror.
lock: setup
	$(BIN)/uv pip compile pyproject.toml --group dev --python-version 3.11 --universal --generate-hashes \
	  --no-strip-extras --no-emit-index-url --no-emit-find-links --no-header --quiet -o requirements.lock
