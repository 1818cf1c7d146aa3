"""The Dagster instance of a deployment, as commands use it: its errors are the platform's.

Belongs here: opening it. Does not: its use.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._serdes import ConfigurableClassData
from dagster_postgres.utils import DagsterPostgresException

from city_data.defs.storage import PooledPostgresStorage
from city_data.errors import ConfigurationError
from city_data.operations.event_log import BackfillStorage
from city_data.store.database import DatabaseUnavailable, availability

_NO_OUTPUT = ConfigurableClassData(NoOpComputeLogManager.__module__, NoOpComputeLogManager.__name__, "{}")


@contextmanager
def deployed_instance() -> Iterator[dg.DagsterInstance]:
    """The instance of DAGSTER_HOME. Raises ConfigurationError if it names none, DatabaseUnavailable."""
    try:
        with availability(), _opened() as instance:
            yield instance
    except DagsterPostgresException as error:
        cause = getattr(error.__cause__, "orig", error)
        raise DatabaseUnavailable(f"Dagster's database cannot be used: {cause}") from error


def _opened() -> dg.DagsterInstance:
    # Dagster logs each of its six connection attempts on the root logger; the exception has the last one's cause.
    root = logging.getLogger()
    root.addFilter(_is_not_a_retry)
    try:
        return dg.DagsterInstance.get()
    except dg.DagsterError as error:
        raise ConfigurationError(f"DAGSTER_HOME names no usable Dagster: {error}") from error
    finally:
        root.removeFilter(_is_not_a_retry)


def _is_not_a_retry(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Retrying failed database connection")


@contextmanager
def warm_instance() -> Iterator[dg.DagsterInstance]:
    """The deployment's instance for many runs in this process, with the event log of a backfill."""
    with deployed_instance() as deployed, dg.DagsterInstance.from_ref(_for_backfill(deployed.get_ref())) as instance:
        yield instance


def _for_backfill(ref: InstanceRef) -> InstanceRef:
    """Without captured output too: it costs two processes a run, and these runs print nothing."""
    quiet = ref._replace(compute_logs_data=_NO_OUTPUT)
    storage = ref.storage_data
    if storage is None or storage.class_name != PooledPostgresStorage.__name__:
        return quiet
    config = ConfigurableClassData(BackfillStorage.__module__, BackfillStorage.__name__, storage.config_yaml)
    return quiet._replace(storage_data=config)
