"""Backfills: a warm process here that materializes partition after partition, or an asset backfill on a cluster.

Belongs here: asking for many months at once and telling how it goes. Does not: what a month's run does.
A run through queue and daemon costs 6 s, of which 0.3 s is the run; in a warm process the rest is saved, and the runs
are ordinary Dagster runs all the same, recorded in the instance and seen in the UI.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster_postgres.utils import DagsterPostgresException

from city_data.defs.keys import MONTHS_JOB, STEPS, asset_key
from city_data.errors import CityDataError, ConfigurationError
from city_data.pipeline.feeds import Feed
from city_data.store.database import DatabaseUnavailable, availability
from city_data.window import Month

Task = tuple[Feed, Month]

_LAUNCH = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}"""
_STATUS = """
query Status($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    __typename
    ... on PartitionBackfill {
      status
      assetBackfillData { assetBackfillStatuses {
        ... on AssetPartitionsStatusCounts {
          assetKey { path } numPartitionsTargeted numPartitionsMaterialized numPartitionsFailed
        } } }
    }
    ... on PythonError { message }
  }
}"""
_UNDER_WAY = """
query ConcurrencyLimiter {
  partitionBackfillsOrError(status: REQUESTED, limit: 100) {
    __typename
    ... on PartitionBackfills { results { id title } }
    ... on PythonError { message }
  }
}"""
_TITLE = "city-data backfill"

# The progress bar tells people what happens; every event is in the instance all the same.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class BackfillError(CityDataError):
    """The backfill could not be launched or followed; the text says why."""


@dataclass(frozen=True)
class Done:
    """One month's run. `rows` is 0 where the source has no such month; `error` is set where it failed."""

    feed: Feed
    month: Month
    rows: int
    run_id: str
    error: str | None


def tasks(feeds: Sequence[Feed], months: Sequence[Month]) -> list[Task]:
    """Month by month, so that an interrupted backfill leaves whole months behind."""
    return [(feed, month) for month in months for feed in feeds]


# A connection is held a day at most; whoever needs more than the one that is held opens it for the moment.
_HELD = {"statement_timeout": 60_000, "pool_recycle": 86_400, "max_overflow": 10}


@contextmanager
def deployed_instance() -> Iterator[dg.DagsterInstance]:
    """The instance of DAGSTER_HOME. Raises ConfigurationError where it names none, DatabaseUnavailable."""
    try:
        with availability(), _opened() as instance:
            yield instance
    except DagsterPostgresException as error:
        cause = getattr(error.__cause__, "orig", error)
        raise DatabaseUnavailable(f"Dagster's database cannot be used: {cause}") from error


def _opened() -> dg.DagsterInstance:
    # Dagster logs each of its six tries to connect on the root logger; the last one's cause is in the exception.
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
    """The deployment's instance, on connections that are held from run to run.

    Its PostgreSQL storage opens one for every event, 145 a run, which took half of a run's time. The webserver's own
    setting holds them; a process that makes many runs is as long-lived.
    """
    with deployed_instance() as instance:
        hold_connections(instance)
        yield instance


def hold_connections(instance: dg.DagsterInstance) -> None:
    instance.optimize_for_webserver(**_HELD)


def materialize(
    definitions: dg.Definitions, instance: dg.DagsterInstance, todo: Sequence[Task], steps: Sequence[str] = STEPS
) -> Iterator[Done]:
    """Run each task in this process, and yield each as it ends. A failed month does not stop the others."""
    job = definitions.resolve_job_def(MONTHS_JOB)
    for feed, month in todo:
        result = job.execute_in_process(
            partition_key=str(month),
            asset_selection=[asset_key(feed, step) for step in steps],
            instance=instance,
            raise_on_error=False,
            run_config=_QUIET,
            tags={"city_data/city": feed.city.city_id, "city_data/dataset": feed.dataset.name},
        )
        yield Done(feed, month, _rows(result, feed), result.run_id, None if result.success else _why(result))


def _rows(result: dg.ExecuteInProcessResult, feed: Feed) -> int:
    for event in result.get_asset_materialization_events():
        if event.asset_key == asset_key(feed, "monthly"):
            count = event.materialization.metadata.get("dagster/partition_row_count")
            return int(str(count.value)) if count is not None else 0
    return 0


def _why(result: dg.ExecuteInProcessResult) -> str:
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.user_failure_data and data.user_failure_data.description:
                return data.user_failure_data.description
            error = data.error
            while error is not None and error.cause is not None:
                error = error.cause  # Dagster's own wrapper says only which op it was
            return (error.message if error else event.message or "failed").strip()
    return "the run failed before its first step"


def groups(todo: Sequence[Task]) -> list[tuple[list[Month], list[Feed]]]:
    """The tasks as few backfills: feeds that want the same months share one, since a backfill is all months of all."""
    named = {feed.name: feed for feed, _ in todo}
    wanted = {name: tuple(month for feed, month in todo if feed.name == name) for name in named}
    shared: dict[tuple[Month, ...], list[Feed]] = {}
    for name, months in wanted.items():
        shared.setdefault(months, []).append(named[name])
    return [(list(months), feeds) for months, feeds in shared.items()]


def under_way(webserver: str) -> list[str]:
    """The ids of this command's backfills that have not ended. Raises BackfillError."""
    answer = _ask(webserver, _UNDER_WAY, {})["partitionBackfillsOrError"]
    if answer["__typename"] != "PartitionBackfills":
        raise BackfillError(f"{webserver}: {answer.get('message', answer['__typename'])}")
    return [str(found["id"]) for found in answer["results"] if str(found["title"]).startswith(_TITLE)]


def launch(webserver: str, feeds: Sequence[Feed], months: Sequence[Month]) -> str:
    """Ask a running Dagster for one asset backfill of all the months; returns its id. Raises BackfillError.

    An asset backfill, not one of a job: the daemon retries it, and a code server's restart does not lose its runs.
    """
    params = {
        "assetSelection": [{"path": asset_key(feed, step).path} for feed in feeds for step in STEPS],
        "partitionNames": [str(month) for month in months],
        "title": f"{_TITLE} {months[0]} to {months[-1]}",
    }
    answer = _ask(webserver, _LAUNCH, {"params": params})["launchPartitionBackfill"]
    if answer["__typename"] != "LaunchBackfillSuccess":
        raise BackfillError(f"{webserver} refused the backfill: {answer.get('message', answer['__typename'])}")
    return str(answer["backfillId"])


def follow(
    webserver: str, backfill_id: str, wait: Callable[[], None], told: Callable[[int, int], None]
) -> tuple[str, int]:
    """Wait until a backfill ends, telling (done, of); returns its status and how many partitions failed."""
    while True:
        answer = _ask(webserver, _STATUS, {"id": backfill_id})["partitionBackfillOrError"]
        if answer["__typename"] != "PartitionBackfill":
            raise BackfillError(f"backfill {backfill_id}: {answer.get('message', answer['__typename'])}")
        counts = [c for c in (answer["assetBackfillData"] or {}).get("assetBackfillStatuses", []) if c]
        failed = sum(c.get("numPartitionsFailed", 0) for c in counts)
        done = sum(c.get("numPartitionsMaterialized", 0) for c in counts)
        told(done + failed, sum(c.get("numPartitionsTargeted", 0) for c in counts))
        if answer["status"] not in ("REQUESTED", "CANCELING", "COMPLETING", "FAILING"):
            return str(answer["status"]), failed
        wait()


def _ask(webserver: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    import httpx

    url = f"{webserver.rstrip('/')}/graphql"
    try:
        response = httpx.post(url, json={"query": query, "variables": variables}, timeout=30)
        response.raise_for_status()
        document = response.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:  # ValueError: an answer that is not JSON
        raise BackfillError(f"{url} does not answer as Dagster does: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("data"), dict | None):
        raise BackfillError(f"{url} does not answer as Dagster does: {str(document)[:80]}")
    if "errors" in document or not document.get("data"):
        raise BackfillError(f"{url}: {str(document.get('errors', 'no data'))[:300]}")
    return dict(document["data"])
