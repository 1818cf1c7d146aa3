# syntax=docker/dockerfile:1
# Two images: `platform`, the default, for every role of a cluster (`city-data ...`, `python -m api`, `dagster ...`), and
# `reader`, `--target reader`, for `python -m api` alone: without Dagster, pandas and object storage.
# A release names its base by digest: --build-arg PYTHON_IMAGE=docker.io/library/python@sha256:...
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS environment
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv --without-pip /opt/venv

FROM environment AS build
# The lock first: a change of code alone does not fetch the dependencies again.
COPY requirements-image.lock ./
RUN pip --python /opt/venv/bin/python install --require-hashes --only-binary :all: --requirement requirements-image.lock
COPY pyproject.toml README.md LICENSE ./
COPY city_data city_data
COPY api api
RUN pip --python /opt/venv/bin/python wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && pip --python /opt/venv/bin/python install --no-deps dist/*.whl \
    && pip --python /opt/venv/bin/python uninstall --yes setuptools \
    && /opt/venv/bin/python -m compileall -q -j 0 /opt/venv/lib \
    && /opt/venv/bin/python -m city_data.bill_of_materials requirements-image.lock /opt/venv/sbom.cdx.json

FROM environment AS build-reader
COPY requirements-reader.lock ./
# Of Arrow the reader needs neither its servers, its object storage, its headers nor its tests: 64 MB.
RUN pip --python /opt/venv/bin/python install --require-hashes --only-binary :all: --requirement requirements-reader.lock \
    && rm -r /opt/venv/lib/python3.*/site-packages/pyarrow/tests /opt/venv/lib/python3.*/site-packages/pyarrow/include \
    && rm /opt/venv/lib/python3.*/site-packages/pyarrow/*_flight* /opt/venv/lib/python3.*/site-packages/pyarrow/*_s3*
COPY --from=build /src/dist dist
RUN pip --python /opt/venv/bin/python install --no-deps dist/*.whl \
    && /opt/venv/bin/python -m compileall -q -j 0 /opt/venv/lib \
    && /opt/venv/bin/python -m city_data.bill_of_materials requirements-reader.lock /opt/venv/sbom.cdx.json

FROM ${PYTHON_IMAGE} AS base
# The file system is read-only on a cluster: only /tmp and DAGSTER_HOME are written to, and both are mounted there.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DAGSTER_DISABLE_TELEMETRY=1 \
    HOME=/tmp
RUN pip uninstall --yes --root-user-action=ignore setuptools wheel pip \
    && groupadd --gid 10001 city-data \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin city-data \
    && install --directory --owner=10001 --group=10001 /opt/dagster/dagster_home
WORKDIR /opt/city-data

FROM base AS reader
COPY --from=build-reader /opt/venv /opt/venv
USER 10001:10001
CMD ["python", "-m", "api"]

FROM base AS platform
COPY --from=build /opt/venv /opt/venv
USER 10001:10001
# No ENTRYPOINT: a run's Kubernetes Job gives its whole command as arguments.
CMD ["city-data", "--help"]
