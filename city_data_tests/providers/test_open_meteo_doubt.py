"""Answers of Open-Meteo that are not what was requested, though their form is right: another clock, period or run.

Belongs here: its archive and its forecasts alike. Does not: cells and structures (test_open_meteo.py,
test_open_meteo_forecast.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from city_data.pipeline import drift
from city_data.pipeline.gate import admit
from city_data.providers.base import NotAvailable, ParsedMonth, Payload, PermanentError, QuotaExceeded, TransientError
from city_data.sandbox import Sandbox, running
from city_data_tests.sandbox.asking import AS_OF, Asked

HOUR = timedelta(hours=1)
BOTH = ("open_meteo", "open_meteo_forecast")
Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("doubt"), as_of=AS_OF) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(served: Sandbox) -> Iterator[Sandbox]:
    yield served
    served.faults.clear()


def change(payload: Payload, by: Change) -> Payload:
    document = json.loads(payload.path.read_bytes())
    by(document)
    path = payload.path.with_name(f"changed-{payload.name}")
    path.write_text(json.dumps(document))
    return replace(payload, path=path)


def parsed(asked: Asked, payloads: Sequence[Payload], by: Change | None = None) -> ParsedMonth:
    """The month of the answers, of which the first is changed."""
    first = payloads[0] if by is None else change(payloads[0], by)
    return asked.provider.parse(asked.request, [first, *payloads[1:]])


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("zone", ["Europe/London", "Europe/Madrid", "auto", None, ["GMT"]])
def test_another_time_zone_is_refused_where_its_offset_is_none(
    sandbox: Sandbox, tmp_path: Path, name: str, zone: object
) -> None:
    """An answer in winter has the offset 0 for London's summer: each hour would be of the hour before."""
    asked = Asked(sandbox, name, "2026-07")
    payloads = asked.fetch(tmp_path)
    with pytest.raises(PermanentError, match=f"{name}: madrid 2026-07: the answer is not in GMT but in the hours of"):
        parsed(asked, payloads, lambda d: d.update(timezone=zone))
    assert len(parsed(asked, payloads, lambda d: d.update(timezone="Etc/UTC")).frame)


@pytest.mark.parametrize("name", BOTH)
def test_answer_between_the_hours_is_another_format_and_no_absence(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    asked = Asked(sandbox, name, "2026-07")

    def by_half_an_hour(document: dict[str, Any]) -> None:
        document["hourly"]["time"] = [stamp.replace(":00", ":30") for stamp in document["hourly"]["time"]]

    with pytest.raises(PermanentError, match="the stamps are not the month's hours: none of 768 is a full hour"):
        parsed(asked, asked.fetch(tmp_path), by_half_an_hour)


@pytest.mark.parametrize("name", BOTH)
def test_answer_of_the_month_before_is_refused_though_it_ends_in_this_one(
    sandbox: Sandbox, tmp_path: Path, name: str
) -> None:
    """Days are asked for in UTC, so the last hours of one answer are the first of the next local month; the days ahead,
    which are right, do not excuse it."""
    before = Asked(sandbox, name, "2026-10").fetch(tmp_path / "10")
    asked = Asked(sandbox, name, "2026-11")
    payloads = [before[0], *asked.fetch(tmp_path / "11")[1:]]
    with pytest.raises(PermanentError, match="the stamps are not the month's hours: they are 2026-09-30"):
        parsed(asked, payloads)


@pytest.mark.parametrize("name", BOTH)
def test_some_days_too_many_do_no_harm(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    asked = Asked(sandbox, name, "2026-07")
    payloads = asked.fetch(tmp_path)

    def more(document: dict[str, Any]) -> None:
        hourly = document["hourly"]
        hourly["time"] += [
            f"{datetime(2026, 8, 4, tzinfo=UTC) + n * timedelta(hours=1):%Y-%m-%dT%H:%M}" for n in range(240)
        ]
        for values in hourly.values():
            values += values[: len(hourly["time"]) - len(values)]

    assert parsed(asked, payloads, more).frame.equals(parsed(asked, payloads).frame)


def as_lead(late: int, early: int, hours: int) -> Change:
    """The forecasts of `late` days before under the name of those of `early` days before, too."""

    def by(document: dict[str, Any]) -> None:
        for name, values in document["hourly"].items():
            if name.endswith(f"_previous_day{early}"):
                values[:hours] = document["hourly"][name.replace(f"day{early}", f"day{late}")][:hours]

    return by


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("moved", [-2, 1, 9])
def test_whole_days_that_do_not_begin_at_midnight_are_another_clock_s(
    sandbox: Sandbox, tmp_path: Path, name: str, moved: int
) -> None:
    asked = Asked(sandbox, name, "2026-07")

    def by_hours(document: dict[str, Any]) -> None:
        stamps = map(datetime.fromisoformat, document["hourly"]["time"])
        document["hourly"]["time"] = [f"{stamp + moved * HOUR:%Y-%m-%dT%H:%M}" for stamp in stamps]

    with pytest.raises(PermanentError, match=r"hours by another clock: from 2026-\S+ \S+, not from 2026-06-30 00:00"):
        parsed(asked, asked.fetch(tmp_path), by_hours)


def test_hours_that_an_answer_lacks_at_its_ends_move_no_other(sandbox: Sandbox, tmp_path: Path) -> None:
    asked = Asked(sandbox, "open_meteo_forecast", "2026-07")

    def without_some(document: dict[str, Any]) -> None:
        for values in document["hourly"].values():
            del values[:3], values[-2:]

    assert len(parsed(asked, asked.fetch(tmp_path), without_some).frame) == 7 * 744


@pytest.mark.parametrize(("late", "early"), [(1, 2), (1, 7), (4, 6)])
def test_one_forecast_under_two_leads_is_refused(sandbox: Sandbox, tmp_path: Path, late: int, early: int) -> None:
    """A model would train on what nobody knew so early."""
    asked = Asked(sandbox, "open_meteo_forecast", "2026-07")
    payloads = asked.fetch(tmp_path)
    with pytest.raises(PermanentError, match=f"forecasts of {late} and of {early} days before have the same"):
        parsed(asked, payloads, as_lead(late, early, 800))
    assert len(parsed(asked, payloads, as_lead(late, early, 72)).frame) == 7 * 744, "runs may fail for some days"
    with pytest.raises(PermanentError, match="the same temperature for 1"):
        parsed(asked, payloads, as_lead(late, early, 200))


IMPOSSIBLE: dict[str, tuple[str, str | Callable[[float], float]]] = {
    "the same wind_speed": ("wind_speed_10m_previous_day2", "wind_speed_10m_previous_day3"),
    "relative_humidity_2m_previous_day3 is not in %": ("relative_humidity_2m_previous_day3", lambda v: v / 100),
    "cloud_cover_previous_day5 is not in %": ("cloud_cover_previous_day5", lambda v: v / 100),
}


@pytest.mark.parametrize("said", IMPOSSIBLE)
def test_one_variable_that_no_forecast_can_have_is_refused(sandbox: Sandbox, tmp_path: Path, said: str) -> None:
    name, write = IMPOSSIBLE[said]
    asked = Asked(sandbox, "open_meteo_forecast", "2026-07")

    def by(document: dict[str, Any]) -> None:
        hourly = document["hourly"]
        hourly[name] = hourly[write] if isinstance(write, str) else [write(value) for value in hourly[name]]

    with pytest.raises(PermanentError, match=said):
        parsed(asked, asked.fetch(tmp_path), by)


def body(payload: Payload, by: Change) -> str:
    return change(payload, by).path.read_text()


def cut(document: dict[str, Any], hours: int) -> None:
    for name, values in document["hourly"].items():
        document["hourly"][name] = values[:hours]


def nulled(document: dict[str, Any]) -> None:
    for name, values in document["hourly"].items():
        values[:] = values if name == "time" else [None] * len(values)


@pytest.mark.parametrize("place", [0, 1], ids=["days before", "days ahead"])
@pytest.mark.parametrize(
    ("by", "said"),
    [
        (lambda d: cut(d, 0), "breaks off"),
        (lambda d: cut(d, 30), "breaks off: .* days are missing, such as 2026-1"),
        (nulled, "ha(s|ve) no value"),
    ],
    ids=["empty lists", "two days", "nulls"],
)
def test_half_of_what_was_requested_is_a_passing_fault_and_not_archived(
    sandbox: Sandbox, tmp_path: Path, place: int, by: Change, said: str
) -> None:
    """It would take the place of the month that is stored, and an ended one would keep the hole for weeks."""
    asked = Asked(sandbox, "open_meteo_forecast", "2026-11")
    payload = asked.fetch(tmp_path / "whole")[place]
    sandbox.faults.order(re.escape(payload.url.removeprefix("https:/")), body=body(payload, by))
    with pytest.raises(TransientError, match=said):
        asked.fetch(tmp_path / "half")


@pytest.mark.parametrize(("by", "count"), [(lambda d: cut(d, 0), None), (lambda d: cut(d, 400), None), (nulled, 0)])
def test_ended_month_of_nulls_is_absent_and_one_that_breaks_off_is_not(
    sandbox: Sandbox, tmp_path: Path, by: Change, count: int | None
) -> None:
    asked = Asked(sandbox, "open_meteo_forecast", "2026-07")
    payload = asked.fetch(tmp_path / "whole")[0]
    sandbox.faults.order("^/previous-runs", body=body(payload, by))
    with pytest.raises(TransientError if count is None else NotAvailable):
        asked.fetch(tmp_path / "half")


def test_hours_ahead_may_have_one_forecast_for_all_leads(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.publication.clock = lambda: moment
    moment = datetime(2026, 11, 2, 9, tzinfo=UTC)
    asked = Asked(sandbox, "open_meteo_forecast", "2026-11", as_of=moment)
    payloads = asked.fetch(tmp_path)
    sandbox.publication.clock = lambda: AS_OF
    assert len(parsed(asked, payloads, as_lead(1, 2, 800)).frame)


def test_lead_without_forecasts_is_reported(sandbox: Sandbox, tmp_path: Path) -> None:
    asked = Asked(sandbox, "open_meteo_forecast", "2026-07")

    def without(document: dict[str, Any]) -> None:
        for name, values in document["hourly"].items():
            if name.endswith("_previous_day4"):
                values[:] = [None] * len(values)

    made = parsed(asked, asked.fetch(tmp_path), without)
    outcomes = {one.name: one for one in admit(made, asked.request, asked.provider.capabilities).outcomes}
    assert not outcomes["promised_columns"].passed
    assert outcomes["promised_columns"].description == "without one value: lead_days 4"


def test_days_ahead_of_another_cell_than_those_before_are_reported(sandbox: Sandbox, tmp_path: Path) -> None:
    asked = Asked(sandbox, "open_meteo_forecast", "2026-11")
    past, ahead = asked.fetch(tmp_path)
    same = profile(parsed(asked, [past, ahead]))
    other = profile(parsed(asked, [past, change(ahead, lambda d: d.update(latitude=40.4))]))
    assert drift_of(same, same).passed
    assert not drift_of(other, same).passed
    assert "of the days ahead {'latitude': 40.4" in drift_of(other, same).description


def profile(month: ParsedMonth) -> drift.MonthProfile:
    return drift.MonthProfile(
        "open_meteo_forecast", (), 0, 0, 1, False, {}, {}, origin=drift.origin_of(month.provenance)
    )


def drift_of(now: drift.MonthProfile, before: drift.MonthProfile) -> drift.Outcome:
    return next(one for one in drift.evaluate(now, before) if one.name == "origin_drift")


REPORTED = '{"error": true, "reason": "Hourly API request limit exceeded. Please try again in the next hour."}'


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("status", [200, 403, 429])
def test_limit_is_one_under_whatever_status_it_is_reported(
    sandbox: Sandbox, tmp_path: Path, name: str, status: int
) -> None:
    asked = Asked(sandbox, name, "2026-11", attempts=1)
    sandbox.faults.order("^/[^/]*open-meteo.com/", status=status, body=REPORTED)
    with pytest.raises(QuotaExceeded, match=r"too many calls .*Hourly API request limit exceeded") as caught:
        asked.fetch(tmp_path)
    assert 0 < (caught.value.retry_after or 0) <= 3_600


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(
    "reason", ["Internal Server Error", "Request timed out", "The service is temporarily unavailable. Try again later."]
)
def test_passing_fault_that_is_reported_with_200_is_one(
    sandbox: Sandbox, tmp_path: Path, name: str, reason: str
) -> None:
    sandbox.faults.order("^/[^/]*open-meteo.com/", body=json.dumps({"error": True, "reason": reason}))
    with pytest.raises(TransientError, match=f"reports an error with 200: {reason}"):
        Asked(sandbox, name, "2026-11").fetch(tmp_path)


def test_other_error_of_a_document_is_neither(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.faults.order("^/[^/]*open-meteo.com/", body='{"error": true, "reason": "No data for this location"}')
    with pytest.raises(PermanentError, match="holds an error"):
        Asked(sandbox, "open_meteo", "2026-11").fetch(tmp_path)
