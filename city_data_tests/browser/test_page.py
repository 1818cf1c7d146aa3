"""The page in a real browser, against a real reader and database. Headers of its files: ../api/routes/test_page.py."""

from __future__ import annotations

import itertools
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import httpx
import psycopg
import pytest
import yaml
from playwright.sync_api import Locator, Page, expect
from psycopg import sql

from api.settings import Settings
from city_data.local.embedded import EmbeddedPostgres
from city_data.providers import discover
from city_data.window import Month
from city_data_tests.api.conftest import TENANT
from city_data_tests.api.issuer import AUDIENCE, ISSUER, TENANT_A, Issuer, key_set
from city_data_tests.browser.conftest import DATABASE, DESK, PHONE, TROUBLE, Open, serving
from city_data_tests.browser.measures import CUT, PAINTED, PALE

CITIES = {"madrid": (40.4168, -3.7038), "barcelona": (41.3851, 2.1734)}


def _panel(page: Page, dataset: str) -> Locator:
    return page.locator(f".panel[data-dataset={dataset}]")


def _records(url: str, city: str, dataset: str, first: str, last: str) -> list[dict[str, Any]]:
    latitude, longitude = CITIES[city]
    query = {"latitude": latitude, "longitude": longitude, "start_date": first, "end_date": last}
    path = f"/api/v1/tenants/{TENANT}/external/operations/historical-{dataset}-optimized"
    answer = httpx.get(url + path, params=query)
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found


def _cell(page: Page, dataset: str, month: str) -> Locator:
    return page.locator(f"table[data-dataset={dataset}] [data-month='{month}']")


def test_a_click_on_the_map_shows_the_citys_coverage_and_plot(open_page: Open, url: str) -> None:
    page = open_page(fragment="#madrid")
    expect(page.locator("#coverage-title")).to_contain_text("Madrid")
    expect(_panel(page, "traffic").locator("canvas")).to_be_visible()
    page.locator("#map [data-city=barcelona] .dot").click()
    expect(page.locator("#coverage-title")).to_contain_text("Barcelona")
    expect(page.locator("#city-list [data-city=barcelona]")).to_have_attribute("aria-pressed", "true")
    for width in range(1280, 1080, -20):  # at some width, a name meets the edge of the map
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert page.evaluate(CUT) == []
    page.set_viewport_size(DESK)
    weather = _panel(page, "weather")
    expect(weather.locator(".meta")).to_have_text("55 of 92 days have a value")
    expect(_panel(page, "traffic")).to_contain_text("Nothing is held of traffic")

    records = _records(url, "barcelona", "weather", "2026-08-01", "2026-10-31")
    times, values = weather.locator(".chart").evaluate("(chart) => chart.plot.data")
    told = dict(zip(times, values, strict=True))
    assert told == {datetime.fromisoformat(r["date"]).timestamp(): r["temperature"] for r in records}
    assert sum(value is None for value in values) == 6
    canvas = weather.locator("canvas")
    assert canvas.evaluate(PAINTED, [0.4, 1]) > 500
    assert canvas.evaluate(PAINTED, [0.1, 0.36]) == 0  # August was never measured


def test_plot_line_has_a_gap_at_a_month_without_data(open_page: Open, url: str) -> None:
    page = open_page(fragment="#madrid")
    traffic = _panel(page, "traffic")
    expect(traffic.locator(".meta")).to_have_text("1,341 of 2,209 hours have a value")
    times, values = traffic.locator(".chart").evaluate("(chart) => chart.plot.data")
    september = [Month(2026, 9).bounds("Europe/Madrid")[n].timestamp() for n in (0, 1)]
    inside = [value for time, value in zip(times, values, strict=True) if september[0] <= time < september[1]]
    assert inside == [None]
    records = _records(url, "madrid", "traffic", "2026-08-01", "2026-10-31")
    held = [(datetime.fromisoformat(r["date"]).timestamp(), r["traffic_volume"]) for r in records]
    assert [point for point in zip(times, values, strict=True) if point[1] is not None] == [
        point for point in held if point[1] is not None
    ]
    canvas = traffic.locator("canvas")
    painted = [canvas.evaluate(PAINTED, part) for part in ([0.1, 0.36], [0.42, 0.64], [0.72, 0.99])]
    assert painted[1] == 0
    assert min(painted[0], painted[2]) > 500


def test_ranges_columns_and_cursor_readout(open_page: Open, url: str) -> None:
    page = open_page(fragment="#madrid")
    weather = _panel(page, "weather")
    page.get_by_role("button", name="Last month").click()
    expect(weather.locator(".meta")).to_have_text("28 of 31 days have a value")
    expect(page.locator("#plot-range")).to_have_text("October 2026")
    weather.locator(".chart").focus()
    page.keyboard.press("Home")
    expect(weather.locator(".readout")).to_contain_text("Thu, 1 Oct 2026")
    (first, *_) = _records(url, "madrid", "weather", "2026-10-01", "2026-10-31")
    assert first["temperature"] == 0
    expect(weather.locator(".readout .now")).to_have_text("Temperature 0 °C")
    for _ in range(9):
        page.keyboard.press("ArrowRight")
    expect(weather.locator(".readout")).to_contain_text("Sat, 10 Oct 2026")
    expect(weather.locator(".readout .now")).to_have_text("Temperature no value")
    weather.locator("select").select_option("pressure")
    expect(weather.locator(".meta")).to_have_text("0 of 31 days have a value")
    # The hour that comes twice is told with its offset, on the city's clocks, whatever the browser's are.
    traffic = _panel(page, "traffic")
    traffic.locator(".chart").focus()
    traffic.locator(".chart").evaluate(
        "({ plot }) => plot.setCursor({ left: plot.valToPos(Date.UTC(2026, 9, 25, 1) / 1000, 'x'), top: 5 })"
    )
    expect(traffic.locator("time")).to_have_text("Sun, 25 Oct 2026, 02:00 GMT+1")
    page.get_by_role("button", name="24 months").click()
    expect(page.locator("#plot-range")).to_have_text("November 2024 – October 2026")


def test_arrow_keys_move_between_months_and_describe_each(open_page: Open) -> None:
    page = open_page(fragment="#madrid")
    _cell(page, "traffic", "2026-11").focus()
    page.keyboard.press("ArrowLeft")
    october = _cell(page, "traffic", "2026-10")
    expect(october).to_be_focused()
    expect(october).to_have_text("90")
    page.keyboard.press("ArrowLeft")
    failed = _cell(page, "traffic", "2026-09")
    expect(failed).to_be_focused()
    expect(failed).to_have_text("!")
    detail = page.locator("#month-detail")
    expect(detail).to_contain_text("September 2026, traffic: failed")
    expect(detail).to_contain_text(TROUBLE)
    label = failed.get_attribute("aria-label")
    assert label is not None
    assert TROUBLE in label
    page.keyboard.press("ArrowUp")
    never = _cell(page, "traffic", "2025-09")
    expect(never).to_be_focused()
    expect(detail).to_contain_text("city-data backfill --city madrid --dataset traffic --from 2025-09 --to 2025-09")
    page.keyboard.press("Home")
    expect(_cell(page, "traffic", "2024-11")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(_cell(page, "traffic", "2024-11")).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.locator("#plot-range")).to_have_text("October 2026")
    _cell(page, "weather", "2026-11").hover()
    expect(detail).to_contain_text("November 2026, weather: not yet published")
    assert page.locator("table[data-dataset=weather] [tabindex='0']").count() == 1


def test_states_are_distinguishable_without_colour(open_page: Open) -> None:
    page = open_page(fragment="#barcelona")
    expect(_cell(page, "weather", "2026-08")).to_have_text("–")
    expect(_cell(page, "weather", "2026-08")).to_have_attribute("data-state", "not_available")
    expect(_cell(page, "weather", "2026-10")).to_have_css("text-decoration-line", "underline")
    expect(_cell(page, "weather", "2026-09")).to_have_css("text-decoration-line", "none")
    expect(page.locator("#legend li")).to_have_count(6)


def test_phone_layout_does_not_scroll_sideways(open_page: Open) -> None:
    page = open_page(fragment="#madrid", size=PHONE)
    expect(_panel(page, "traffic").locator("canvas")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    over = "(all) => all.filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML)"
    assert page.locator("main *:not(svg *), footer *").evaluate_all(over) == []
    tight = "(all) => all.filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent)"
    assert page.locator("[role=gridcell]").evaluate_all(tight) == []
    page.locator("#city-list [data-city=lisbon]").click()
    expect(_panel(page, "weather")).to_contain_text("city-data backfill --city lisbon")
    expect(_panel(page, "traffic")).to_contain_text("No source of traffic is known for Lisbon")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_contrast_is_sufficient_in_light_and_dark(open_page: Open, scheme: Literal["light", "dark"]) -> None:
    page = open_page(fragment="#madrid", scheme=scheme)
    _cell(page, "traffic", "2026-09").focus()
    expect(page.locator("#month-detail")).to_contain_text(TROUBLE)
    assert page.evaluate(PALE) == []
    page.locator("#city-list [data-city=barcelona]").click()
    expect(_cell(page, "weather", "2026-10")).to_have_attribute("data-state", "provisional")
    assert page.evaluate(PALE) == []


def test_footer_links_the_licence_of_each_source(open_page: Open) -> None:
    licences = open_page().locator("#licences")
    for provider in discover().values():
        if provider.name in ("aemet", "open_meteo", "madrid_opendata", "barcelona_opendata"):
            link = licences.get_by_role("link", name=provider.capabilities.licence)
            expect(link).to_have_attribute("href", provider.capabilities.licence_url)


def test_city_circle_has_its_true_radius(open_page: Open) -> None:
    """On Mercator's map, kilometres at a latitude are the equator's divided by its cosine."""
    page = open_page(fragment="#madrid")
    width = page.locator(".reach.chosen").evaluate("(circle) => circle.getBBox().width")
    assert width == pytest.approx(2 * 30 / 6371 / 0.7613, rel=0.01)


def test_page_reports_a_missing_database_and_recovers(open_page: Open, url: str, postgres: EmbeddedPostgres) -> None:
    page = open_page(fragment="#madrid")
    expect(_panel(page, "traffic").locator("canvas")).to_be_visible()
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        name = sql.Identifier(DATABASE)
        connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [DATABASE])
        try:
            page.locator("#city-list [data-city=barcelona]").click()
            alert = page.get_by_role("alert")
            expect(alert).to_contain_text("No data at the moment")
            expect(alert).to_contain_text("asked again by itself in")
            page.reload()
            expect(alert).to_contain_text("No data at the moment")
        finally:
            connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))
    alert.get_by_role("button", name="Ask again now").click()
    expect(page.locator("#coverage-title")).to_contain_text("Barcelona")
    expect(alert).to_be_hidden()


def test_month_starts_equal_the_platforms(open_page: Open) -> None:
    zones = (
        "Europe/Madrid",
        "Europe/Lisbon",
        "Asia/Kolkata",
        "America/Sao_Paulo",
        "Pacific/Auckland",
        "America/Havana",
    )
    wanted = {
        f"{zone} {year}-{month:02}": Month(year, month).bounds(zone)[0].timestamp()
        for zone in zones
        for year in (2018, 2026)
        for month in range(1, 13)
    }
    told = open_page().evaluate(
        """async (wanted) => {
          const { monthStart } = await import("/page/words.js");
          return Object.fromEntries(wanted.map((key) => [key, monthStart(key.split(" ")[1], key.split(" ")[0])]));
        }""",
        list(wanted),
    )
    assert told == wanted


def test_token_opens_a_protected_reader_and_is_stored_in_the_tab_only(
    open_page: Open, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    issuer = Issuer()
    keys = tmp_path / "keys.json"
    keys.write_bytes(key_set(issuer))
    settings = {
        "database_url": postgres.url(DATABASE),
        "auth_mode": "jwt",
        "auth_jwt_issuer": ISSUER,
        "auth_jwt_audience": AUDIENCE,
        "auth_jwks_file": str(keys),
    }
    with serving(Settings.model_validate(settings)) as locked:
        page = open_page(at=locked, fragment="#madrid")
        form, field = page.locator("#token-form"), page.get_by_label("Token", exact=True)
        expect(form).to_contain_text("city-data token")
        expect(field).to_be_focused()
        field.fill(issuer.token(exp=1))
        field.press("Enter")
        expect(form).to_contain_text("The token was refused")
        token = issuer.token()
        field.fill(token)
        form.get_by_role("button").click()
        expect(_panel(page, "traffic").locator("canvas")).to_be_visible()
        expect(form).to_be_hidden()
        command = _panel(page, "traffic").locator(".request code")
        expect(command).to_contain_text(f"/tenants/{TENANT_A}/")
        expect(command).to_contain_text("Bearer $TOKEN")
        assert token not in page.content()
        assert page.evaluate("[Object.keys(localStorage), document.cookie]") == [[], ""]
        page.get_by_role("button", name="Forget the token").click()
        expect(form).to_contain_text("answers only callers with a token")
        assert page.evaluate("sessionStorage.length") == 0


def test_many_cities_can_be_searched_and_labels_do_not_overlap(
    open_page: Open, postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {"country": "ES", "radius_km": 10, "timezone": "Europe/Madrid", "enabled": True}
    cities = [
        {"city_id": f"c{n}", "name": f"Cityname {n}", "latitude": 38 + n % 7, "longitude": -6 + n // 7 / 5, **place}
        for n in range(42)
    ]
    registry = tmp_path / "cities.yaml"
    registry.write_text(yaml.safe_dump({"cities": [city | {"weather": {"provider": "open_meteo"}} for city in cities]}))
    monkeypatch.setenv("CITY_DATA_CITIES", str(registry))
    monkeypatch.delenv("ENABLED_CITIES")
    settings = {"database_url": postgres.url(DATABASE), "auth_mode": "none"}
    with serving(Settings.model_validate(settings)) as many:
        page = open_page(at=many, fragment="#c41")
        expect(page.locator("#coverage-title")).to_contain_text("Cityname 41")
        chosen = page.locator("#city-list [data-city=c41]")
        expect(chosen).to_be_in_viewport()
        assert page.evaluate("scrollY") == 0
        labels = page.locator(".city text:not([display=none])")
        expect(labels.filter(has_text="Cityname 41")).to_have_count(1)
        boxes = labels.evaluate_all("(all) => all.map((e) => e.getBoundingClientRect().toJSON())")
        assert 7 <= len(boxes) < 42
        for a, b in itertools.combinations(boxes, 2):
            apart = (
                a["right"] <= b["left"] or b["right"] <= a["left"] or a["bottom"] <= b["top"] or b["bottom"] <= a["top"]
            )
            assert apart, (a, b)
        page.get_by_label("Find a city").fill("name 7")
        expect(page.locator("#city-list li:visible")).to_have_count(1)
        expect(chosen).to_be_hidden()
