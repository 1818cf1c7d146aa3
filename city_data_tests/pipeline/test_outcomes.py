"""Outcomes of real sources, one test a kind: the fault, what is served meanwhile, ledger, status, and the recovery.

Belongs here: the kinds that test_healing.py does not have. Numbers are those of the list of outcomes: nulls for a month
(1), a fallback (2), a station without data (3) and validators (11) are there; a renamed field of a live feed (13) is in
operations/test_live_feed_metrics.py.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from city_data.sandbox.madrid import HOST as MADRID_HOST
from city_data.sandbox.madrid import PACKAGE
from city_data.sandbox.meteo_france import DATASET, MeteoFrance
from city_data_tests.pipeline.life import MADRID, MONTH, NO_DATA
from city_data_tests.pipeline.story import (
    LATE,
    METEO_FRANCE,
    OPEN_METEO,
    OPENWEATHER,
    catalogue,
    story,
)
from city_data_tests.world import World

CKAN = f"/{MADRID_HOST}/api/3/action/package_show?id={PACKAGE}"
DATA_GOUV = f"/www.data.gouv.fr/api/1/datasets/{DATASET}/"
PAGE = "<!DOCTYPE html><html><head><title>{}</title></head><body>{}</body></html>"
NULLS = '[{"fecha": "2026-09-%02d", "indicativo": "3195", "nombre": "MADRID, RETIRO"}%s'
EMPTY_DAYS = "".join(NULLS % (day, ", " if day < 30 else "]") for day in range(1, 31)).replace(", [", ", ")

pytestmark = pytest.mark.usefixtures("no_waiting")


def test_days_without_a_value_are_missing_and_not_a_month(world: World) -> None:
    """1, at AEMET."""
    with story(world, "weather", {"provider": "aemet", "settings": {"stations": ["3195"]}}) as month:
        world.sandbox.faults.order("/opendata/sh/", body=EMPTY_DAYS)
        month.is_missing("no day has a value")
        month.heals("aemet")


def test_openweather_s_empty_answer_is_missing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """1, at OpenWeather."""
    monkeypatch.setenv("OPENWEATHER_API_KEY", "good")
    with story(world, "weather", OPENWEATHER) as month:
        world.sandbox.faults.order("/history/city", body='{"message": "Count: 0", "cod": "200", "cnt": 0, "list": []}')
        month.is_missing("")
        month.heals("openweather")


def test_renumbered_station_is_served_by_the_fallback_until_the_registry_has_its_number(world: World) -> None:
    """2, at Meteo-France."""
    renumbered = METEO_FRANCE | {"settings": {"department": "75", "stations": ["75114009"]}, "fallback": OPEN_METEO}
    with story(world, "weather", renumbered) as month:
        month.is_served_by("open_meteo", "no line of 75114009 in the month; its stations: 75")
        world.write_cities([MADRID | {"weather": METEO_FRANCE | {"fallback": OPEN_METEO}}])
        month.heals("meteo_france")


def test_hole_between_the_periods_of_new_year_passes(world: World) -> None:
    """4."""
    with story(world, "weather", METEO_FRANCE | {"fallback": OPEN_METEO}, runs=True) as month:
        world.at(LATE)

        def shifted(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [
                r | {"title": r["title"].replace("2025-2026", "2027-2028")}
                for r in resources
                if r["format"] == "csv.gz"
            ]

        world.sandbox.faults.order("/datasets/", body=catalogue(world, DATA_GOUV, shifted))
        month.fails("the catalogue has a hole: no file covers 2026")
        month.heals("meteo_france")


def test_newest_of_two_files_of_one_title_is_used(world: World) -> None:
    """5, at data.gouv.fr: the former address is listed first."""
    with story(world, "weather", METEO_FRANCE, runs=True) as month:
        world.at(LATE)

        def moved(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
            files = [r for r in resources if r["format"] == "csv.gz"]
            old = [
                r | {"url": r["url"].replace(".csv.gz", "-gone.csv.gz"), "last_modified": "2026-06-24"} for r in files
            ]
            return [*old, *(r | {"last_modified": "2026-11-19"} for r in files)]

        world.sandbox.faults.order("/datasets/", body=catalogue(world, DATA_GOUV, moved))
        assert month.life.tick("refresh_unsettled", LATE)
        month.life.all_say("settled", 1)


@pytest.mark.parametrize("reverse", [False, True])
def test_newest_of_two_files_of_one_month_is_used(world: World, reverse: bool) -> None:
    """5, at a CKAN portal; without dates nobody can tell them apart."""
    with story(world, "traffic") as month:
        world.at(LATE)
        dates = {"old": "2026-10-07T10:00:00.000000", "new": "2026-10-21T10:00:00.000000"}

        def doubled(resources: list[dict[str, Any]], dated: bool = True) -> list[dict[str, Any]]:
            both = []
            for resource in resources:
                gone = resource | {"url": resource["url"].replace("/download/", "/download/gone/")}
                pair = [gone | {"last_modified": dates["old"]}, resource | {"last_modified": dates["new"]}]
                both += pair if dated else [gone, resource]
            return both[::-1] if reverse else both

        undated = catalogue(world, CKAN, lambda resources: doubled(resources, dated=False))
        world.sandbox.faults.order("package_show", body=undated)
        month.fails("the catalogue lists the month 2 times")
        world.sandbox.faults.clear()
        world.sandbox.faults.order("package_show", body=catalogue(world, CKAN, doubled))
        month.heals("madrid_opendata")


def test_blanks_before_a_station_s_number_change_nothing(world: World) -> None:
    """6."""
    with story(world, "weather", METEO_FRANCE) as month:
        world.sandbox.faults.order(r"csv\.gz$", padded_column="NUM_POSTE")
        assert month.life.tick("refresh_unsettled", LATE)
        month.life.all_say("settled", 1)
        assert (month.entry.coverage or 0) > 0.99


def test_lines_that_are_all_broken_are_a_change_of_format(world: World) -> None:
    """6: never a month that is not available, nor one for the fallback."""
    with story(world, "weather", METEO_FRANCE | {"fallback": OPEN_METEO}, runs=True) as month:
        world.sandbox.faults.order(r"csv\.gz$", more_cells=True)
        month.fails("another number of cells than the header has")
        month.heals("meteo_france")


def test_order_with_a_gap_brings_what_is_there_and_later_the_rest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """7."""
    monkeypatch.setenv("METEO_FRANCE_API_KEY", "good")
    (source,) = [one for one in world.sandbox._sources if isinstance(one, MeteoFrance)]
    monkeypatch.setattr(source, "gap", (datetime(2026, 9, 10, tzinfo=UTC), datetime(2026, 9, 10, 20, tzinfo=UTC)))
    with story(world, "weather", METEO_FRANCE, runs=True) as month:
        assert month.life.tick("refresh_unsettled", LATE)
        month.life.all_say("settled", 1)
        assert 0.9 < (month.entry.coverage or 0) < 0.98
        monkeypatch.setattr(source, "gap", None)
        assert month.life.tick("recheck_settled", LATE.replace(year=2027, month=1))
        month.life.all_say("provisional", 2, "fetched")
        assert (month.entry.coverage or 0) > 0.99


QUOTAS = {
    "daily, Open-Meteo": (
        OPEN_METEO,
        "/v1/archive",
        "Daily API request limit exceeded. Please try again tomorrow.",
        {},
    ),
    "blocked, OpenWeather": (OPENWEATHER, "/history/city", "Your account is temporary blocked", {}),
    "Retry-After in seconds": (OPEN_METEO, "/v1/archive", "slow down", {"Retry-After": "3600"}),
    "Retry-After as a date": (OPEN_METEO, "/v1/archive", "slow down", {"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}),
    "X-RateLimit-Reset": (OPEN_METEO, "/v1/archive", "slow down", {"X-RateLimit-Reset": "4102444800"}),
}


@pytest.mark.parametrize("kind", QUOTAS)
def test_quota_of_the_day_costs_one_call_and_is_left_to_the_next_refresh(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """8."""
    monkeypatch.setenv("OPENWEATHER_API_KEY", "good")
    source, path, words, headers = QUOTAS[kind]
    with story(world, "weather", source) as month:
        world.sandbox.answered.clear()
        world.sandbox.faults.order(path, status=429, body=f'{{"reason": "{words}"}}', headers=headers)
        month.fails(words)
        assert [count for (_, status), count in world.sandbox.answered.items() if status == 429] == [1]
        month.heals(str(source["provider"]))


PASSING: dict[str, tuple[dict[str, object], str, dict[str, Any], str]] = {
    "9, broken JSON of step 2": (
        {"provider": "aemet", "settings": {"stations": ["3195"]}}, "/opendata/sh/",
        {"body": '[ {\n  "fecha" : "2026-09-01",\n  "indicativo" : "31'}, "broken JSON",
    ),
    "9, broken JSON of OpenWeather": (OPENWEATHER, "/history/", {"body": '{"cod": "200", "list": [{"dt": 1'}, "JSON"),
    "9, an answer that is cut off": (OPEN_METEO, "/v1/archive", {"truncate": 0.5}, "peer closed connection"),
    "10, a firewall": (
        {"provider": "aemet", "settings": {"stations": ["3195"]}}, "/diarios/",
        {"status": 403, "body": PAGE.format("Request Rejected", "support ID")}, "a firewall in front of",
    ),
    "closed for maintenance": (
        OPEN_METEO, "/v1/archive",
        {"status": 503, "body": PAGE.format("Mantenimiento", "Volvemos pronto")}, "is closed for a while (503",
    ),
    "a page in place of data": (OPEN_METEO, "/v1/archive", {"body": PAGE.format("Log in", "")}, "what is not JSON"),
    "sent on to a login": (
        OPEN_METEO, "/v1/archive",
        {"status": 302, "headers": {"Location": "https://login.example/sso"}}, "refused to call https://login.example",
    ),
    "an empty catalogue": (METEO_FRANCE, "/datasets/", {"body": '{"resources": []}'}, "lists nothing"),
    "a file that breaks off": (METEO_FRANCE, r"csv\.gz$", {"truncate": 0.5}, ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", PASSING)
def test_passing_fault_is_named_and_heals(world: World, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("OPENWEATHER_API_KEY", "good")
    source, path, fault, words = PASSING[kind]
    with story(world, "weather", source) as month:
        world.sandbox.faults.order(path, **fault)
        month.fails(words)
        month.heals(str(source["provider"]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda _: [], "the catalogue lists nothing"),
        (lambda listed: [r | {"url": "https://x.example/1", "description": "", "name": "Datos"} for r in listed],
         "of the catalogue names a month, such as Datos"),
        (lambda listed: [r | {"url": r["url"].replace(MADRID_HOST, "descargas.madrid.example")} for r in listed],
         "refused to call https://descargas.madrid.example/"),
    ],
    ids=["empty", "other titles", "a host moved"],
)  # fmt: skip
def test_ckan_catalogue_that_is_out_of_order_is_never_a_missing_month(world: World, change: Any, words: str) -> None:
    with story(world, "traffic") as month:
        world.at(LATE)
        world.sandbox.faults.order("package_show", body=catalogue(world, CKAN, change))
        month.fails(words)
        month.heals("madrid_opendata")


def test_plan_smaller_than_a_month_s_calls_still_loads_a_month_a_day(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """12: a refresh has half of a day's calls, a month takes up to 12."""
    monkeypatch.setenv("OPENWEATHER_API_KEY", "good")
    monkeypatch.setenv("OPENWEATHER_CALLS_A_DAY", "14")
    with story(world, "weather", OPENWEATHER) as month:
        world.sandbox.faults.order("/history/city", status=500)
        month.fails("500")
        month.heals("openweather")


def test_first_source_without_data_and_a_fallback_that_is_out_of_calls_keeps_both_reasons(world: World) -> None:
    """2 and 8 at once."""
    source = {"provider": "aemet", "settings": {"stations": ["3195"]}, "fallback": OPEN_METEO}
    with story(world, "weather", source) as month:
        world.sandbox.faults.order("/diarios/", body=NO_DATA)
        world.sandbox.faults.order("/v1/archive", status=429, body='{"reason": "Daily limit. Try again tomorrow."}')
        month.fails("Try again tomorrow")
        assert "no data from the stations 3195" in str(month.entry.last_error)
        month.heals("aemet")
        assert str(MONTH) in month.status
