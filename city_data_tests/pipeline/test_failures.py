"""Failures that nothing expected: every one is typed and recorded in the ledger, and a late one changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NoReturn

import pytest
import sqlalchemy as sa
from polars.exceptions import PanicException

from city_data.definitions import month_job
from city_data.operations.backfill import materialize
from city_data.pipeline.feeds import Feed
from city_data.pipeline.outcomes import TypedOutcomes
from city_data.providers.aemet import Aemet
from city_data.providers.base import Location, PermanentError, Request, Settings
from city_data.providers.open_meteo import OpenMeteo
from city_data.store.schema import CITY_MONTH
from city_data.window import Month
from city_data_tests.world import AS_OF, World

SEPTEMBER = Month(2026, 9)


def unforeseen(*_: object) -> NoReturn:
    raise RecursionError("maximum depth \x00 exceeded")


def failed_untyped(world: World, feed: Feed, said: Sequence[str]) -> None:
    entry = world.entry("weather", "2026-09", city_id=feed.city.city_id)
    assert entry is not None
    assert (entry.state, entry.version) == ("failed", None)
    for word in (*said, "RecursionError", r"depth \x00 exceeded (test_failures.py:"):
        assert word in str(entry.last_error)


@pytest.mark.parametrize("method", ["fetch", "parse"])
@pytest.mark.parametrize(("city_id", "provider"), [("madrid", Aemet), ("lisbon", OpenMeteo)])
def test_unexpected_exception_in_a_provider_is_recorded_as_a_typed_failure(
    world: World, monkeypatch: pytest.MonkeyPatch, method: str, city_id: str, provider: type[Aemet | OpenMeteo]
) -> None:
    world.enable(city_id)
    if method == "parse":
        monkeypatch.setattr(provider, "fetch", _kept(provider))
    monkeypatch.setattr(provider, method, unforeseen)
    (done,) = world.load("weather", "2026-09", city_id=city_id)
    failed_untyped(world, world.feed("weather", city_id), (provider.name, city_id, "2026-09"))
    assert "RecursionError" in str(done.error)


def _kept(provider: type[Aemet | OpenMeteo]) -> Any:
    """`fetch` as it is, with the parser that it looks through its bytes with."""
    parse, fetch = provider.parse, provider.fetch

    def kept(self: Any, *args: Any) -> Any:
        broken, provider.parse = provider.parse, parse  # type: ignore[method-assign]
        try:
            return fetch(self, *args)
        finally:
            provider.parse = broken  # type: ignore[method-assign]

    return kept


def test_archive_that_cannot_be_read_is_a_failure_in_the_ledger(world: World) -> None:
    done = world.load("weather", "2026-09")
    manifest = world.archive.latest("weather", "madrid", SEPTEMBER)
    file = world.folder / "raw" / "weather" / "madrid" / "2026-09" / f"{manifest.files[0].sha256}.bin"
    file.chmod(0o600)
    file.write_bytes(b"[]")
    feed = world.feed("weather")
    done = list(materialize(month_job, world.instance, [(feed, SEPTEMBER)], ["monthly"]))
    entry = world.entry("weather", "2026-09")
    assert entry is not None
    assert "other bytes" in str(done[0].error)
    assert (entry.version, "other bytes" in str(entry.last_error)) == (1, True)


def test_unexpected_exception_is_recorded_and_keeps_its_traceback(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("city_data.store.months.replace_month", unforeseen)
    (done,) = world.load("weather", "2026-09")
    failed_untyped(world, world.feed("weather"), ())
    assert "RecursionError" in str(done.error)
    (failure,) = [
        event.dagster_event.step_failure_data
        for event in world.instance.all_logs(done.run_id)
        if event.dagster_event and event.dagster_event.event_type_value == "STEP_FAILURE"
    ]
    assert failure.error is not None
    assert "in unforeseen" in failure.error.to_string()


def test_late_load_leaves_no_error_on_a_newer_month(world: World) -> None:
    world.load("weather", "2026-09")
    with world.database.write() as connection:  # as a run that fetched later and ended sooner leaves it
        connection.execute(sa.update(CITY_MONTH).values(fetched_at=AS_OF + timedelta(hours=1)))
    (done,) = world.load("weather", "2026-09")
    assert "are published by run" in str(done.error)
    after = world.entry("weather", "2026-09")
    assert after is not None
    assert (after.version, after.last_error, after.fetched_at) == (1, None, AS_OF + timedelta(hours=1))


def test_panic_of_polars_becomes_a_typed_outcome() -> None:
    madrid = Location("madrid", 40.4168, -3.7038, "Europe/Madrid")
    asked = Request(madrid, Month(2026, 9), Settings(), AS_OF)
    with pytest.raises(PermanentError, match="p: madrid 2026-09: unforeseen PanicException"), TypedOutcomes("p", asked):
        raise PanicException("slice index starts at 1")
