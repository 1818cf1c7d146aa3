"""Every provider parses a plausible month from its stand-in, and its rows are marked as the sandbox's."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pandas as pd
import pytest

from city_data.datasets import DATASETS, expected_stamps
from city_data.providers import discover
from city_data.providers.base import NotYetPublished
from city_data.sandbox import Sandbox
from city_data.window import Month
from city_data_tests.providers.sources import with_history
from city_data_tests.sandbox.asking import Asked, registered

NAMES = with_history()


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in discover().values():
        if provider.capabilities.key_variable:
            monkeypatch.setenv(provider.capabilities.key_variable, "good")


def test_source_without_a_stand_in_is_named_before_any_call() -> None:
    nobody = cast(Sandbox, SimpleNamespace(routes={}))
    with pytest.raises(AssertionError, match=r"open_meteo needs a stand-in in city_data/sandbox/: none serves arch"):
        _ = Asked(nobody, "open_meteo", "2026-10").http


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("month", ["2026-09", "2025-10", "2026-03"])
def test_sandbox_month_is_parsed_completely(sandbox: Sandbox, tmp_path: Path, name: str, month: str) -> None:
    place, _ = registered(name)
    source = Asked(sandbox, name, month, place=place)
    frame = source.month_of(tmp_path).frame
    capabilities = source.provider.capabilities
    stamps = expected_stamps(Month.parse(month), place.timezone, capabilities.resolution)
    assert set(frame["source"]) == {f"sandbox:{name}"}
    dataset = DATASETS[capabilities.dataset]
    assert frame["date"].is_monotonic_increasing
    assert not frame.duplicated(list(dataset.key)).any()
    assert set(frame["date"]) <= set(pd.DatetimeIndex(stamps))
    assert len(frame) >= 0.95 * len(stamps) * len(dataset.key_values)
    for column in dataset.columns:
        if column.kind == "number" and column.name in capabilities.columns:
            values = frame[column.name].dropna()
            # Meteo-France reports the fresh snow of one hour at two of three hours.
            least = 0.6 if (name, column.name) == ("meteo_france", "snowfall") else 0.9
            assert len(values) > least * len(stamps), column.name
            assert values.between(column.low, column.high).all(), column.name


@pytest.mark.parametrize("name", NAMES)
def test_two_fetches_of_a_month_are_equal(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    one, two = (Asked(sandbox, name, "2026-09").month_of(tmp_path / folder).frame for folder in ("one", "two"))
    pd.testing.assert_frame_equal(one, two)


def test_october_has_its_repeated_hour(sandbox: Sandbox, tmp_path: Path) -> None:
    frame = Asked(sandbox, "madrid_opendata", "2025-10").month_of(tmp_path).frame.set_index("date")
    summer, winter = (frame.loc[pd.Timestamp(f"2025-10-26T0{hour}:00Z"), "traffic_volume"] for hour in (0, 1))
    assert len(frame) == 745
    assert summer > 0
    assert winter > 0
    assert summer != winter


def test_traffic_shows_rush_hours_and_august(sandbox: Sandbox, tmp_path: Path) -> None:
    may, august = (
        Asked(sandbox, "madrid_opendata", month).month_of(tmp_path / month).frame.set_index("date")["traffic_volume"]
        for month in ("2026-05", "2026-08")
    )
    assert august.mean() < 0.85 * may.mean()
    local = may.tz_convert("Europe/Madrid")
    workdays = local[local.index.day_of_week < 5]
    assert workdays[workdays.index.hour == 8].mean() > 3 * workdays[workdays.index.hour == 3].mean()


@pytest.mark.parametrize("name", ["aemet", "open_meteo", "madrid_opendata"])
def test_a_month_that_has_just_begun_is_not_yet_published(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    as_of = datetime(2026, 12, 1, 2, tzinfo=UTC)
    clock, sandbox.publication.clock = sandbox.publication.clock, lambda: as_of
    try:
        with pytest.raises(NotYetPublished) as caught:
            Asked(sandbox, name, "2026-12", as_of=as_of).fetch(tmp_path)
    finally:
        sandbox.publication.clock = clock
    assert all(word in str(caught.value) for word in (name, "madrid", "2026-12"))


@pytest.mark.parametrize("name", NAMES)
def test_connection_check_works(sandbox: Sandbox, name: str) -> None:
    source = Asked(sandbox, name, "2026-09")
    assert source.provider.check_connection(source.http)
