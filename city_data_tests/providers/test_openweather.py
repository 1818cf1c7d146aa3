"""OpenWeather's History API: recorded payloads, weeks that cover the month, its errors, and a key that stays in."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from city_data.cities import load_registry
from city_data.pipeline.feeds import feeds
from city_data.providers.base import (
    NotAvailable,
    NotConfigured,
    NotYetPublished,
    ParsedMonth,
    Payload,
    PermanentError,
    Place,
    Request,
    TransientError,
)
from city_data.providers.http import HttpClient, HttpSettings
from city_data.providers.openweather import MOST_CALLS, OpenWeather
from city_data.sandbox.openweather import NO_DATA, NO_SUBSCRIPTION, UNSUBSCRIBED
from city_data.store.budget import PostgresBudget
from city_data.store.database import Database
from city_data.store.raw import RawArchive
from city_data.window import Month
from city_data_tests.providers.wire import FIXTURES, Answer, Call, Site, site
from city_data_tests.sandbox.asking import MADRID, StillClock, accounted

HOST = "history.openweathermap.org"
PATH = f"/{HOST}/data/2.5/history/city"
KEY = "canary 51c9/b7"
SEPTEMBER = Request(MADRID, Month(2026, 9), OpenWeather.settings_model(), datetime(2026, 11, 24, tzinfo=UTC))
HOUR, WEEK = 3600, 7 * 24


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENWEATHER_API_KEY", KEY)


def parsed(path: Path, month: str = "2026-09") -> ParsedMonth:
    asked = replace(SEPTEMBER, month=Month.parse(month))
    return accounted(OpenWeather().parse(asked, [Payload(path.name, path, "https://example.org")]))


def client(web: Site) -> HttpClient:
    routes = {HOST: f"{web.url}/{HOST}"}
    settings = HttpSettings(attempts=2)
    return HttpClient("openweather", OpenWeather.capabilities, settings=settings, clock=StillClock(), routes=routes)


def fetch(web: Site, into: Path, asked: Request = SEPTEMBER) -> list[Payload]:
    return list(OpenWeather().fetch(asked, client(web), into))


def span(call: Call) -> tuple[int, int]:
    """The hours asked for, both included."""
    query = parse_qs(urlsplit(call.path).query)
    return int(query["start"][0]) // HOUR, int(query["end"][0]) // HOUR


def body(hours: list[int]) -> bytes:
    items = [{"dt": hour * HOUR, "main": {"temp": 20.0}, "wind": {"speed": 1.0}, "weather": []} for hour in hours]
    return json.dumps({"message": "", "cod": "200", "city_id": 1, "cnt": len(items), "list": items}).encode()


def served(keep: Callable[[int], bool] = lambda _: True, most: int = WEEK) -> Callable[[Call], Answer]:
    """The service: at most `most` hours from the first, without those that it does not hold."""

    def answer(call: Call) -> Answer:
        first, last = span(call)
        hours = [hour for hour in range(first, min(last, first + most - 1) + 1) if keep(hour)]
        return Answer(body(hours)) if hours else Answer(NO_DATA, 404)

    return answer


@pytest.mark.parametrize(
    ("name", "month", "said"),
    [
        ("history_city_kelvin_2021-10-01.EXCERPT.json", "2021-10", "says that it has 25 hours and holds 3"),
        ("history_city_metric_2024-05-31.EXCERPT.json", "2024-05", "says that it has 145 hours and holds 3"),
        ("history_city_doc_example_2017-01.json", "2017-01", "279.946: in kelvin"),
        ("timemachine_paris_2023-03-21.json", "2023-03", "no list of hours"),
        ("timemachine_london_2023-03-16.json", "2023-03", "no list of hours"),
        ("day_summary_sao_paulo_2021-09-16.json", "2021-09", "no list of hours"),
        ("error_401_onecall_subscription.json", "2026-09", "no list of hours"),
        ("error_404_history_no_data.json", "2026-09", "no list of hours"),
        ("error_429.json", "2026-09", "no list of hours"),
    ],
)
def test_recorded_answers_of_other_products_and_units_are_refused(
    recorded: Path, name: str, month: str, said: str
) -> None:
    with pytest.raises(PermanentError, match=f"openweather: madrid {month}: .*{said}"):
        parsed(recorded / "openweather" / name, month)


def mended(file: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A recorded answer with the count that its excerpt really has, and `change`d."""
    document = json.loads(file.read_bytes())
    document["cnt"] = len(document["list"])
    change(document)
    (folder / file.name).write_text(json.dumps(document))
    return folder / file.name


def test_recorded_excerpt_is_read_and_its_gap_is_counted(recorded: Path, tmp_path: Path) -> None:
    excerpt = recorded / "openweather" / "history_city_metric_2024-05-31.EXCERPT.json"
    made = parsed(mended(excerpt, tmp_path, lambda _: None), "2024-05")
    assert made.provenance["missing_hours"] == 142
    assert made.frame["temperature"].tolist() == [22.87, 22.34]
    assert made.frame["pressure"].tolist() == [1013, 1013]
    assert made.frame["wind_speed"].tolist() == [1.11, 0.68]
    # The second hour tells of the first one's rain, by having no such key; of its own nothing does.
    assert made.frame["precipitation"].fillna(-1).tolist() == [0, -1]
    assert made.frame["raw_data"].tolist() == [{"modelled": True, "precipitation_by_absence": True}, {"modelled": True}]
    assert made.rejected == {"outside_month": 1}


def test_kelvin_is_refused_and_the_old_example_has_no_whole_hour(recorded: Path, tmp_path: Path) -> None:
    kelvin = recorded / "openweather" / "history_city_kelvin_2021-10-01.EXCERPT.json"
    with pytest.raises(PermanentError, match=r"285\.27: in kelvin"):
        parsed(mended(kelvin, tmp_path, lambda _: None), "2021-10")

    def to_celsius(document: dict[str, Any]) -> None:
        for item in document["list"]:
            item["main"]["temp"] -= 273.15

    example = recorded / "openweather" / "history_city_doc_example_2017-01.json"
    made = parsed(mended(example, tmp_path, to_celsius), "2017-01")
    assert made.frame.empty
    assert made.rejected == {"off_the_hour": 3}


@pytest.mark.parametrize(
    ("name", "status", "kind", "said"),
    [
        ("error_401_onecall_subscription.json", 401, PermanentError, "separate subscription.*OPENWEATHER_API_KEY"),
        ("error_429.json", 429, TransientError, "temporary blocked"),
        ("error_404_history_no_data.json", 404, NotAvailable, "no hour of the month"),
        ("history_200_empty_list.json", 200, NotAvailable, "no hour of the month"),
        # As it is told without an HTTP status of its own.
        ("error_404_history_no_data.json", 200, NotAvailable, "no hour of the month"),
        ("error_401_onecall_subscription.json", 200, PermanentError, "separate subscription"),
    ],
)
def test_recorded_errors_are_typed(
    recorded: Path, web: Site, tmp_path: Path, name: str, status: int, kind: type[Exception], said: str
) -> None:
    web.on(PATH, Answer((recorded / "openweather" / name).read_bytes(), status))
    with pytest.raises(kind, match=f"openweather: madrid 2026-09: .*{said}") as caught:
        fetch(web, tmp_path)
    if isinstance(caught.value, TransientError):  # blocked for the day, which ends at midnight UTC
        assert caught.value.retry_after is not None
        assert 0 < caught.value.retry_after <= 86_400


def test_the_stand_in_s_errors_are_the_recorded_ones(recorded: Path) -> None:
    folder = recorded / "openweather"
    assert (folder / "error_404_history_no_data.json").read_bytes().strip() == NO_DATA
    assert (folder / "error_401_onecall_subscription.json").read_bytes().strip() == NO_SUBSCRIPTION
    assert UNSUBSCRIBED not in NO_SUBSCRIPTION.decode()


def test_weekly_requests_cover_the_month(web: Site, tmp_path: Path) -> None:
    web.on(PATH, served())
    payloads = fetch(web, tmp_path)
    start, end = (int(moment.timestamp()) // HOUR for moment in SEPTEMBER.month.bounds(MADRID.timezone))
    asked = [span(call) for call in web.calls]
    assert all(last - first < WEEK for first, last in asked)
    assert [hour for first, last in asked for hour in range(first, last + 1)] == list(range(start, end + 1))
    assert [payload.name for payload in payloads][:2] == ["2026-08-31T22Z.json", "2026-09-07T22Z.json"]
    assert len(accounted(OpenWeather().parse(SEPTEMBER, payloads)).frame) == 720
    for word in ("units=metric", "type=hour", "lat=40.4168", "lon=-3.7038"):
        assert word in web.calls[0].path


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(80, WEEK), st.sets(st.integers(0, 720), max_size=40))
def test_every_available_hour_is_fetched_whatever_an_answer_omits(most: int, holes: set[int]) -> None:
    start = int(SEPTEMBER.month.bounds(MADRID.timezone)[0].timestamp()) // HOUR
    got: list[int] = []

    with site() as web, tempfile.TemporaryDirectory() as folder:
        web.on(PATH, served(lambda hour: hour - start not in holes, most))
        for payload in fetch(web, Path(folder)):
            got += [item["dt"] // HOUR for item in json.loads(payload.path.read_bytes())["list"]]
    assert got == [hour for hour in range(start, start + 721) if hour - start not in holes]


def test_fetch_gives_up_after_too_many_short_answers(web: Site, tmp_path: Path) -> None:
    web.on(PATH, served(most=24))
    with pytest.raises(PermanentError, match=f"{MOST_CALLS} answers reached 2026-09-12T22Z only, of 2026-09-30T22Z"):
        fetch(web, tmp_path)
    assert len(web.calls) == MOST_CALLS


def test_an_answer_of_other_days_is_refused(web: Site, tmp_path: Path) -> None:
    web.on(PATH, Answer(body([500_000])))
    with pytest.raises(PermanentError, match=r"asked for 2026-08-31 22:00.*the answer is of 2027-01-15"):
        fetch(web, tmp_path)


def test_open_month_is_requested_up_to_now(web: Site, tmp_path: Path) -> None:
    web.on(PATH, served())
    fetch(web, tmp_path, replace(SEPTEMBER, as_of=datetime(2026, 9, 9, 12, 34, tzinfo=UTC)))
    assert span(web.calls[-1])[1] == int(datetime(2026, 9, 9, 12, tzinfo=UTC).timestamp()) // HOUR
    with pytest.raises(NotYetPublished, match="not begun"):
        fetch(web, tmp_path, replace(SEPTEMBER, as_of=datetime(2026, 8, 30, tzinfo=UTC)))
    end = SEPTEMBER.month.bounds(MADRID.timezone)[1]
    web.on(PATH, Answer(NO_DATA, 404))
    for days, kind in ((30, NotYetPublished), (32, NotAvailable)):
        with pytest.raises(kind, match="no hour"):
            fetch(web, tmp_path, replace(SEPTEMBER, as_of=end + timedelta(days=days)))


@pytest.mark.parametrize(
    ("zone", "month", "hours"), [("Europe/Madrid", "2026-03", 743), ("Europe/Madrid", "2025-10", 745)]
)
def test_clock_change_months_have_every_hour(web: Site, tmp_path: Path, zone: str, month: str, hours: int) -> None:
    web.on(PATH, served())
    asked = replace(SEPTEMBER, place=Place("town", 40.0, -3.0, zone), month=Month.parse(month))
    assert len(OpenWeather().parse(asked, fetch(web, tmp_path, asked)).frame) == hours


def test_missing_key_is_not_configured(web: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENWEATHER_API_KEY")
    with pytest.raises(NotConfigured, match="OPENWEATHER_API_KEY"):
        fetch(web, tmp_path)
    with pytest.raises(NotConfigured, match="OPENWEATHER_API_KEY"):
        OpenWeather().check_connection(client(web))


def test_used_up_daily_quota_makes_no_call_and_names_the_wait(database: Database, tmp_path: Path) -> None:
    (day,) = OpenWeather.capabilities.rate_limit.quotas
    assert (day.calls, day.seconds) == (1_000, 86_400)
    tomorrow = "date_bin('1 day', clock_timestamp(), 'epoch'::timestamptz) + interval '1 day'"
    with database.write() as connection:
        connection.exec_driver_sql(f"INSERT INTO provider_budget VALUES ('openweather/86400', {tomorrow}, now())")
    clock, settings = StillClock(), HttpSettings(deadline=0)
    budget = PostgresBudget(database)
    http = HttpClient("openweather", OpenWeather.capabilities, budget, settings, clock, routes={})
    with pytest.raises(TransientError, match="openweather: madrid 2026-09: the call budget is used up") as caught:
        OpenWeather().fetch(SEPTEMBER, http, tmp_path)
    assert 0 < (caught.value.retry_after or 0) <= 86_400
    assert clock.slept == []


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def test_key_is_in_no_payload_archive_or_log(
    web: Site, tmp_path: Path, everything_logged: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    web.on(PATH, Answer(status=503), served())
    payloads = fetch(web, tmp_path)
    assert parse_qs(urlsplit(web.calls[0].path).query)["appid"] == [KEY]
    archive = RawArchive(str(tmp_path / "raw"))
    archive.store("weather", "madrid", SEPTEMBER.month, "openweather", payloads, SEPTEMBER.as_of)
    kept = "".join(path.read_text() for path in (tmp_path / "raw").rglob("*") if path.is_file())
    said = everything_logged.text + "".join(capsys.readouterr())
    assert "retry" in said
    assert "lat" in kept
    for text in (repr(payloads), kept, said):
        assert "canary" not in text


@pytest.mark.parametrize("status", [200, 400, 401, 403, 429, 500])
def test_key_repeated_by_the_source_is_masked(
    web: Site, tmp_path: Path, status: int, everything_logged: pytest.LogCaptureFixture
) -> None:
    web.on(PATH, Answer(json.dumps({"cod": str(status), "message": f"the key {KEY} is wrong"}).encode(), status))
    with pytest.raises((PermanentError, TransientError), match=r"the key \*\*\* is wrong") as caught:
        fetch(web, tmp_path)
    assert "canary" not in str(caught.value)
    if status >= 400:
        with pytest.raises((PermanentError, TransientError), match=r"the key \*\*\* is wrong"):
            OpenWeather().check_connection(client(web))
    assert "canary" not in everything_logged.text


def test_openweather_can_be_any_citys_fallback(tmp_path: Path) -> None:
    file = tmp_path / "cities.yaml"
    text = (Path(load_registry.__code__.co_filename).parent / "cities.yaml").read_text()
    file.write_text(text.replace("fallback: {provider: open_meteo}", "fallback: {provider: openweather}"))
    found = [feed.fallback.provider.name for feed in feeds(load_registry(file, environ={}).all()) if feed.fallback]
    assert found
    assert set(found) == {"openweather"}


def test_rain_in_the_fixture_belongs_to_the_hour_before() -> None:
    folder = FIXTURES / "openweather"
    payloads = [
        Payload(name, folder / name, "https://example.org") for name in sorted(p.name for p in folder.glob("2*"))
    ]
    made = OpenWeather().parse(SEPTEMBER, payloads)
    frame = made.frame.set_index("date")["precipitation"]
    assert frame[pd.Timestamp("2026-08-31T23:00Z")] == 1.5  # rain and snow told at midnight
    assert made.nulled == {"no_hourly_sum:precipitation": 1, "negative:humidity": 1}
    assert "rain.1h" in made.fields
