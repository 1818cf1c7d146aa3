"""Asset backfills on a running Dagster, through its webserver's GraphQL.

Belongs here: launching them and following them. Does not: months that are run in this process (backfill.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from city_data.defs.keys import STEPS, asset_key
from city_data.errors import CityDataError
from city_data.pipeline.batches import parts
from city_data.pipeline.feeds import Feed
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
      status error { message } runs(limit: 1) { id }
      assetBackfillData { assetBackfillStatuses {
        ... on AssetPartitionsStatusCounts {
          assetKey { path } numPartitionsTargeted numPartitionsMaterialized numPartitionsFailed
        } } }
    }
    ... on PythonError { message }
  }
}"""
_KNOWN = """
query KnownAssets($keys: [AssetKeyInput!]!) { assetNodes(assetKeys: $keys) { assetKey { path } } }"""
_ACTIVE = """
query ActiveBackfills {
  partitionBackfillsOrError(status: REQUESTED, limit: 100) {
    __typename
    ... on PartitionBackfills { results { id title } }
    ... on PythonError { message }
  }
}"""
_LOCATIONS = """
query Locations {
  workspaceOrError {
    __typename
    ... on Workspace { locationEntries { name locationOrLoadError {
      __typename
      ... on PythonError { message } } } }
    ... on PythonError { message }
  }
}"""
_TITLE = "city-data backfill"
POLL_S = 2.0
_UNFINISHED = ("REQUESTED", "CANCELING", "COMPLETING", "FAILING")


class BackfillError(CityDataError):
    """The backfill could not be launched or followed; the text gives the cause."""


@dataclass
class Deadline:
    """The time that a launch may take, from its webserver's first answer to its first run."""

    seconds: float
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _end: float = field(init=False)

    def __post_init__(self) -> None:
        self._end = self.clock() + self.seconds

    def wait(self, why: str) -> None:
        """Wait a little. Raises BackfillError with `why` once the time is over."""
        if self.clock() >= self._end:
            raise BackfillError(f"no run was requested within {self.seconds:.0f} s: {why}")
        self.sleep(POLL_S)


def groups(todo: Sequence[Task]) -> list[tuple[list[Month], list[Feed]]]:
    """Group the tasks into few backfills: one for a batch of feeds of a provider that have equal months.

    A backfill runs all its months of all its feeds, a month a run, and a run waits until the pools of all its
    providers are free. One provider each lets the providers' runs go on side by side.
    """
    named = {feed.name: feed for feed, _ in todo}
    shared: dict[tuple[str, tuple[Month, ...]], list[Feed]] = {}
    for name, feed in named.items():
        months = tuple(month for of, month in todo if of.name == name)
        shared.setdefault((feed.primary.provider.name, months), []).append(feed)
    return [(list(months), part) for (_, months), feeds in shared.items() for part in parts(feeds)]


def await_webserver(webserver: str, deadline: Deadline) -> None:
    """Wait until a webserver answers and has loaded its code location. Raises BackfillError at the deadline."""
    while (why := _not_loaded(webserver)) is not None:
        deadline.wait(why)


def _not_loaded(webserver: str) -> str | None:
    try:
        answer = _query(webserver, _LOCATIONS, {})["workspaceOrError"]
    except BackfillError as error:
        return str(error)
    if answer["__typename"] != "Workspace":
        return f"{webserver}: {answer.get('message', answer['__typename'])}"
    loaded = {entry["name"]: entry["locationOrLoadError"] or {} for entry in answer["locationEntries"]}
    for name, location in loaded.items():
        if location.get("__typename") != "RepositoryLocation":
            return f"{webserver} has not loaded {name}: {location.get('message', 'it is being loaded')}"
    return None if loaded else f"{webserver} has no code location"


def await_first_run(webserver: str, backfill_id: str, deadline: Deadline) -> None:
    """Wait until a backfill has requested a run. Raises BackfillError with Dagster's reason where it ends without one,
    and at the deadline."""
    while True:
        backfill = _backfill(webserver, backfill_id)
        if backfill["runs"]:
            return
        if backfill["status"] not in _UNFINISHED:
            raise BackfillError(f"backfill {backfill_id} ended without a run: {_ending(backfill)}")
        deadline.wait(f"backfill {backfill_id} is {backfill['status']}; is Dagster's daemon running?")


def active_backfills(webserver: str) -> list[str]:
    """The ids of this command's unfinished backfills. Raises BackfillError."""
    answer = _query(webserver, _ACTIVE, {})["partitionBackfillsOrError"]
    if answer["__typename"] != "PartitionBackfills":
        raise BackfillError(f"{webserver}: {answer.get('message', answer['__typename'])}")
    return [str(result["id"]) for result in answer["results"] if str(result["title"]).startswith(_TITLE)]


def launch(webserver: str, feeds: Sequence[Feed], months: Sequence[Month]) -> str:
    """Launch one asset backfill of all the months on a running Dagster; returns its id. Raises BackfillError.

    An asset backfill, not a job's: the daemon retries it, and a restart of the code server does not lose its runs.
    """
    _refuse_unknown(webserver, feeds)
    params = {
        "assetSelection": _paths(feeds),
        "partitionNames": [str(month) for month in months],
        "title": f"{_TITLE} {months[0]} to {months[-1]}",
    }
    answer = _query(webserver, _LAUNCH, {"params": params})["launchPartitionBackfill"]
    if answer["__typename"] != "LaunchBackfillSuccess":
        raise BackfillError(f"{webserver} refused the backfill: {answer.get('message', answer['__typename'])}")
    return str(answer["backfillId"])


def _refuse_unknown(webserver: str, feeds: Sequence[Feed]) -> None:
    """Dagster answers a backfill of an asset that it does not have with status 500, and no reason."""
    nodes = _query(webserver, _KNOWN, {"keys": _paths(feeds)})["assetNodes"]
    known = {tuple(node["assetKey"]["path"]) for node in nodes}
    absent = [feed.name for feed in feeds if not known.issuperset(tuple(asset_key(feed, step).path) for step in STEPS)]
    if absent:
        raise BackfillError(
            f"the platform at {webserver} does not have {', '.join(absent)}: enable the cities there (ENABLED_CITIES, "
            "CITY_DATA_CITIES), upgrade it if it is older than this command, or name others with --city"
        )


def _paths(feeds: Sequence[Feed]) -> list[dict[str, Sequence[str]]]:
    return [{"path": asset_key(feed, step).path} for feed in feeds for step in STEPS]


def follow(
    webserver: str, backfill_id: str, wait: Callable[[], None], report_progress: Callable[[int, int], None]
) -> tuple[str, int]:
    """Wait until a backfill ends, reporting (done, total); returns its status with Dagster's reason, and the number of
    failed partitions."""
    while True:
        backfill = _backfill(webserver, backfill_id)
        counts = [c for c in (backfill["assetBackfillData"] or {}).get("assetBackfillStatuses", []) if c]
        failed = sum(c.get("numPartitionsFailed", 0) for c in counts)
        done = sum(c.get("numPartitionsMaterialized", 0) for c in counts)
        report_progress(done + failed, sum(c.get("numPartitionsTargeted", 0) for c in counts))
        if backfill["status"] not in _UNFINISHED:
            return _ending(backfill), failed
        wait()


def _backfill(webserver: str, backfill_id: str) -> dict[str, Any]:
    answer = _query(webserver, _STATUS, {"id": backfill_id})["partitionBackfillOrError"]
    if answer["__typename"] != "PartitionBackfill":
        raise BackfillError(f"backfill {backfill_id}: {answer.get('message', answer['__typename'])}")
    return dict(answer)


def _ending(backfill: dict[str, Any]) -> str:
    reason = (backfill["error"] or {}).get("message", "")
    return f"{backfill['status']}: {reason.strip()}" if reason else str(backfill["status"])


def _query(webserver: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    import httpx

    url = f"{webserver.rstrip('/')}/graphql"
    try:
        response = httpx.post(url, json={"query": query, "variables": variables}, timeout=30)
        # An error in a query's code has status 500, and its reasons in the same document.
        document = response.json() if "json" in response.headers.get("content-type", "") else None
        if not isinstance(document, dict) or "errors" not in document:
            response.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:  # ValueError: the response is not JSON
        raise BackfillError(f"{url} is not a Dagster webserver: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("data"), dict | None):
        raise BackfillError(f"{url} is not a Dagster webserver: {response.text[:80]}")
    if "errors" in document or not document.get("data"):
        raise BackfillError(f"{url}: {_reasons(document)}")
    return dict(document["data"])


def _reasons(document: dict[str, Any]) -> str:
    errors = document.get("errors") or ["no data"]
    return "; ".join(str(error.get("message", error) if isinstance(error, dict) else error) for error in errors)[:300]
