# syntax=docker/dockerfile:1
# One image for every role on a cluster; the role is the command: `city-data ...`, `python -m api`, `dagster ...`.
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv --without-pip /opt/venv
# The lock first: a change of code alone does not fetch the dependencies again.
COPY requirements-image.lock ./
RUN pip --python /opt/venv/bin/python install --require-hashes --only-binary :all: --requirement requirements-image.lock
COPY pyproject.toml README.md LICENSE ./
COPY city_data city_data
COPY api api
RUN pip --python /opt/venv/bin/python install --no-deps --no-build-isolation . \
    && pip --python /opt/venv/bin/python uninstall --yes setuptools \
    && /opt/venv/bin/python -m compileall -q -j 0 /opt/venv/lib

FROM ${PYTHON_IMAGE}
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
COPY --from=build /opt/venv /opt/venv
WORKDIR /opt/city-data
USER 10001:10001
# No ENTRYPOINT: a run's Kubernetes Job gives its whole command as arguments.
CMD ["city-data", "--help"]
