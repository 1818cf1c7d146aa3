"""The ledger's figures as Prometheus metrics, read at each scrape.

Belongs here: names, labels and the source of each figure. Does not: the reader's own metrics (api/), alerts (helm/).

Ingestion runs end before they could be scraped, so one exporter reads the database instead. Every enabled city and
dataset has its series from the first scrape on, since an alert on an increase misses a counter that starts at 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, get_args

import structlog
from prometheus_client.core import (
    CounterMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from city_data import environment
from city_data.errors import CityDataError
from city_data.frames import coverage
from city_data.operations.metric_families import counter, gauge, labelled
from city_data.pipeline.feeds import Feed
from city_data.pipeline.timetable import LATENESS, is_overdue, monthly_tick
from city_data.store.audit import read_audit
from city_data.store.database import Database, DatabaseUnavailable
from city_data.store.ledger import MonthEntry, State, read_months
from city_data.store.totals import DURATION_BOUNDS_S, Totals, read_totals
from city_data.window import Month, Window, rolling_window

if TYPE_CHECKING:
    import dagster as dg

NEVER_REQUESTED = "never_asked"
STATES: tuple[str, ...] = (*get_args(State), NEVER_REQUESTED)
_FEED = ("city", "dataset")
Entries = Mapping[Month, MonthEntry]
_log = structlog.get_logger(__name__)


class ExporterError(CityDataError):
    """The metrics cannot be served at this address."""


class LedgerCollector(Collector):
    """The metrics of ledger and daemons. `heartbeats` returns the last heartbeat of each of Dagster's daemons (Unix
    seconds), if there is a Dagster."""

    def __init__(
        self,
        database: Database,
        feeds: Sequence[Feed],
        clock: Callable[[], datetime],
        heartbeats: Callable[[], dict[str, float]] | None = None,
    ) -> None:
        self._database, self._feeds, self._clock = database, feeds, clock
        self._heartbeats = heartbeats

    def collect(self) -> Iterator[Metric]:
        """All metrics; without the database only `external_ledger_up` 0, so that no series can mislead."""
        moment = self._clock()
        try:
            entries, totals, audit = (
                read_months(self._database),
                read_totals(self._database),
                read_audit(self._database),
            )
        except DatabaseUnavailable as error:
            _log.warning("ledger not read", why=str(error))
            yield gauge("external_ledger_up", "Whether the ledger could be read", 0)
            return
        yield gauge("external_ledger_up", "Whether the ledger could be read", 1)
        window = rolling_window(moment)
        by_feed = [(feed, _entries_of(feed, entries)) for feed in self._feeds]
        yield from _ingestion(self._feeds, totals)
        yield from _months(by_feed, window, moment)
        yield from _values(by_feed, window)
        yield from _feed_info(self._feeds)
        expired = {row["month"] for row in audit}
        overdue = {entry.month for entry in entries if entry.month < window.first}
        yield counter("external_retention_expired_months", "Months that were expired", len(expired))
        yield gauge("external_retention_overdue_months", "Stored months that have left the window", len(overdue))
        tick = monthly_tick(moment)
        yield gauge("external_monthly_tick_timestamp", "When the monthly schedule last ticked", tick.timestamp())
        if self._heartbeats is not None:
            yield labelled(
                "dagster_daemon_heartbeat_timestamp",
                "When each of Dagster's daemons was last alive",
                ("daemon",),
                {(daemon,): seconds for daemon, seconds in self._heartbeats().items()},
            )


def _ingestion(feeds: Sequence[Feed], totals: Mapping[tuple[str, str], Totals]) -> Iterator[Metric]:
    records = CounterMetricFamily("external_ingestion_records", "Records published, all versions", labels=_FEED)
    failures = CounterMetricFamily("external_ingestion_failures", "Tries that failed", labels=_FEED)
    seconds = HistogramMetricFamily(
        "external_ingestion_duration_seconds", "Fetch, parse and checks of a month", labels=_FEED
    )
    for feed in feeds:
        label, total = _label(feed), totals.get(_label(feed), Totals())
        records.add_metric(label, total.records)
        failures.add_metric(label, total.failures)
        seconds.add_metric(label, _cumulative(total), total.seconds)
    yield from (records, failures, seconds)


def _cumulative(total: Totals) -> list[tuple[str, float]]:
    bounds = [*(str(bound) for bound in DURATION_BOUNDS_S), "+Inf"]
    return [(bound, sum(total.duration_counts[: n + 1])) for n, bound in enumerate(bounds)]


def _months(feeds: Sequence[tuple[Feed, Entries]], window: Window, moment: datetime) -> Iterator[Metric]:
    def by_feed(name: str, text: str, value: Callable[[Feed, Entries], float]) -> Metric:
        return labelled(name, text, _FEED, {_label(feed): value(feed, entries) for feed, entries in feeds})

    yield by_feed("external_city_data_records", "Records stored", lambda _, e: sum(m.rows for m in e.values()))
    yield by_feed(
        "external_city_data_last_update_timestamp",
        "When a month last changed; 0 for never",
        lambda _, e: _latest(m.loaded_at for m in e.values()),
    )
    yield by_feed(
        "external_city_data_last_success_timestamp",
        "When a month was last requested without a failure; 0 for never",
        lambda _, e: _latest(m.checked_at for m in e.values() if m.last_error is None),
    )
    yield by_feed(
        "external_city_data_coverage",
        "Mean share (0..1) of the values that the source promises, over the complete months stored; 0 where none is",
        lambda feed, e: mean_coverage(feed, [e[m] for m in window.complete_months() if m in e and e[m].has_data]),
    )
    yield by_feed(
        "external_city_data_overdue_months",
        f"Complete months that should be stored by their provider's lag and {LATENESS.days} days, and are not",
        lambda feed, e: sum(is_overdue(feed, m, e.get(m), moment) for m in window.complete_months()),
    )
    yield by_feed(
        "external_city_data_fallback_months",
        "Complete months served by the fallback, since the first source does not have them",
        lambda _, e: sum(m in e and e[m].fallback_reason is not None for m in window.complete_months()),
    )
    states: dict[tuple[str, ...], float] = {
        (*_label(feed), state): float(sum(_state(entries.get(m)) == state for m in feed.months(window)))
        for feed, entries in feeds
        for state in STATES
    }
    yield labelled("external_city_data_months", "Months of the window by state", (*_FEED, "state"), states)


def _values(feeds: Sequence[tuple[Feed, Entries]], window: Window) -> Iterator[Metric]:
    """Used and rejected rows, and coverage of each promised column, over the complete months stored."""
    stored = {
        _label(feed): [e[month] for month in window.complete_months() if month in e and e[month].has_data]
        for feed, e in feeds
    }

    def by_feed(name: str, text: str, value: Callable[[Sequence[MonthEntry]], float]) -> Metric:
        return labelled(name, text, _FEED, {label: value(months) for label, months in stored.items()})

    yield by_feed(
        "external_city_data_used_ratio",
        "Share (0..1) of the source's rows, without repeats, that was used in the complete months stored; 0 if none",
        _used_share,
    )
    yield by_feed(
        "external_city_data_rejected_rows",
        "Rows of the source that were rejected, in the complete months stored",
        lambda months: sum(sum(m.rejected.values()) for m in months),
    )
    yield by_feed(
        "external_city_data_nulled_values",
        "Values of used rows that became NULL, in the complete months stored",
        lambda months: sum(sum(m.nulled.values()) for m in months),
    )

    def by_column(name: str, text: str, value: Callable[[Sequence[MonthEntry], str], float]) -> Metric:
        promised = [(feed, column) for feed, _ in feeds for column in feed.primary.provider.capabilities.columns]
        values: dict[tuple[str, ...], float] = {
            (*_label(feed), column): value(stored[_label(feed)], column) for feed, column in promised
        }
        return labelled(name, text, (*_FEED, "column"), values)

    yield by_column(
        "external_city_data_column_coverage_ratio",
        "Mean share (0..1) of a promised column's expected values, over the complete months stored; 0 where none is",
        lambda months, column: _mean([m.column_coverage.get(column, 0.0) for m in months]),
    )
    yield by_column(
        "external_city_data_column_empty_months",
        "Stored complete months in which a promised column of numbers or levels has no value",
        lambda months, column: sum(column in m.empty_columns for m in months),
    )


def _used_share(months: Sequence[MonthEntry]) -> float:
    rejected = sum((Counter(month.rejected) for month in months), Counter[str]())
    received, used = (sum(getattr(month, name) for month in months) for name in ("received", "used"))
    return coverage.used_share(received, used, rejected) or 0.0


def mean_coverage(feed: Feed, stored: Sequence[MonthEntry]) -> float:
    """The mean coverage of months with data, oldest first. A live feed has no hours before its first record: its first
    month counts from there, or an alert would always fire."""
    shares = [entry.coverage or 0.0 for entry in stored]
    if stored and feed.primary.provider.capabilities.forward_only and stored[0].first_date is not None:
        start, end = stored[0].month.bounds(feed.city.timezone)
        shares[0] = min(1.0, shares[0] * ((end - start) / (end - stored[0].first_date)))
    return _mean(shares)


def _feed_info(feeds: Sequence[Feed]) -> Iterator[Metric]:
    info = InfoMetricFamily("external_city_data_feed", "The provider of a city's dataset", labels=_FEED)
    for feed in feeds:
        capabilities = feed.primary.provider.capabilities
        lag = str(capabilities.lag.days)
        info.add_metric(_label(feed), {"provider": feed.primary.provider.name, "lag_days": lag})
    yield info


def _entries_of(feed: Feed, entries: Sequence[MonthEntry]) -> Entries:
    return {entry.month: entry for entry in entries if (entry.city_id, entry.dataset) == _label(feed)}


def _label(feed: Feed) -> tuple[str, str]:
    return feed.city.city_id, feed.dataset.name


def _state(entry: MonthEntry | None) -> str:
    return NEVER_REQUESTED if entry is None else entry.state


def _latest(moments: Iterator[datetime | None]) -> float:
    return max((moment.timestamp() for moment in moments if moment is not None), default=0.0)


def _mean(shares: Sequence[float]) -> float:
    return sum(shares) / len(shares) if shares else 0.0


def daemon_heartbeats(instance: dg.DagsterInstance) -> Callable[[], dict[str, float]]:
    """Each daemon's last heartbeat by its type, Unix seconds."""
    return lambda: {name: beat.timestamp for name, beat in instance.get_daemon_heartbeats().items()}


def serve(host: str, port: int) -> None:
    """Serve `/metrics` until the process ends.

    Raises ConfigurationError for a missing setting, ExporterError for an address that cannot be listened on.
    """
    from prometheus_client import CollectorRegistry, start_http_server

    from city_data.cities import load_registry
    from city_data.operations.backfill_metrics import BackfillCollector
    from city_data.operations.instance import deployed_instance
    from city_data.operations.live_feed_metrics import LiveFeedCollector
    from city_data.operations.source_shape_metrics import SourceShapeCollector
    from city_data.pipeline.feeds import enabled_feeds
    from city_data.store.polls import PollArchive
    from city_data.window import as_of

    database = Database(environment.DATABASE_URL.required(), pool_size=1, application_name="city_data_exporter")
    with deployed_instance() if environment.DAGSTER_HOME.get() else nullcontext() as instance:
        heartbeats = daemon_heartbeats(instance) if instance else None
        registry = CollectorRegistry()
        feeds = enabled_feeds(load_registry())
        registry.register(LedgerCollector(database, feeds, as_of, heartbeats))
        registry.register(SourceShapeCollector(database, feeds))
        if instance:
            registry.register(BackfillCollector(instance))
        if raw_url := environment.RAW_URL.get():
            registry.register(LiveFeedCollector(PollArchive(raw_url), feeds, as_of))
        try:
            server, thread = start_http_server(port, host, registry)
        except OSError as error:
            hint = "choose another with --port (EXPORTER_PORT) or --host"
            raise ExporterError(f"cannot listen on {host} port {port}: {error.strerror or error}; {hint}") from error
        _log.info("exporter listens", host=host, port=port, at=datetime.now(UTC).isoformat())
        try:
            thread.join()
        finally:
            server.shutdown()
