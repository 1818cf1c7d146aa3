"""The page's plots and coverage in a real browser, against a real reader and database.

Headers of its files: ../api/routes/test_page.py.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import httpx
from playwright.sync_api import expect

from city_data.window import Month
from city_data_tests.api.conftest import TENANT
from city_data_tests.browser.conftest import DESK, TROUBLE, Open
from city_data_tests.browser.elements import cell, panel
from city_data_tests.browser.measures import CUT, PAINTED

CITIES = {"madrid": (40.4168, -3.7038), "barcelona": (41.3851, 2.1734)}


def _records(url: str, city: str, dataset: str, first: str, last: str) -> list[dict[str, Any]]:
    latitude, longitude = CITIES[city]
    query = {"latitude": latitude, "longitude": longitude, "start_date": first, "end_date": last}
    path = f"/api/v1/tenants/{TENANT}/external/operations/historical-{dataset}-optimized"
    answer = httpx.get(url + path, params=query)
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found


def test_a_click_on_the_map_shows_the_citys_coverage_and_plot(open_page: Open, url: str) -> None:
    page = open_page(fragment="#madrid")
    expect(page.locator("#coverage-title")).to_contain_text("Madrid")
    expect(panel(page, "traffic").locator("canvas")).to_be_visible()
    page.locator("#map [data-city=barcelona] .dot").click()
    expect(page.locator("#coverage-title")).to_contain_text("Barcelona")
    expect(page.locator("#city-list [data-city=barcelona]")).to_have_attribute("aria-pressed", "true")
    for width in range(1280, 1080, -20):  # at some width, a name meets the edge of the map
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(CUT) == []
    page.set_viewport_size(DESK)
    weather = panel(page, "weather")
    expect(weather.locator(".meta")).to_have_text("55 of 92 days have a value")
    expect(panel(page, "traffic")).to_contain_text("No traffic is stored")

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
    traffic = panel(page, "traffic")
    expect(traffic.locator(".meaning")).to_contain_text("per measurement point. Area: city panel: streets")
    expect(traffic.locator(".meaning")).to_contain_text("Not comparable between cities.")
    expect(panel(page, "weather").locator(".meaning")).not_to_contain_text("Not comparable")
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
    weather = panel(page, "weather")
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
    traffic = panel(page, "traffic")
    traffic.locator(".chart").focus()
    traffic.locator(".chart").evaluate(
        "({ plot }) => plot.setCursor({ left: plot.valToPos(Date.UTC(2026, 9, 25, 1) / 1000, 'x'), top: 5 })"
    )
    expect(traffic.locator("time")).to_have_text("Sun, 25 Oct 2026, 02:00 GMT+1")
    page.get_by_role("button", name="24 months").click()
    expect(page.locator("#plot-range")).to_have_text("November 2024 – October 2026")


def test_column_on_request_is_requested_by_name_and_plotted(open_page: Open) -> None:
    page = open_page(fragment="#barcelona")
    weather = panel(page, "weather")
    page.get_by_role("button", name="Last month").click()
    weather.locator("select").select_option("snowfall")
    expect(weather.locator(".meta")).to_have_text("31 of 31 days have a value")
    _, values = weather.locator(".chart").evaluate("(chart) => chart.plot.data")
    assert set(values) == {0.5}
    # A day's amount is a bar as wide as the day, and so is the last one's.
    assert weather.locator("canvas").evaluate(PAINTED, [0.955, 0.97]) > 500
    weather.locator(".chart").focus()
    page.keyboard.press("Home")
    expect(weather.locator(".readout")).to_contain_text("Temperature 1.5 °C")
    expect(weather.locator(".readout .now")).to_have_text("Snowfall 0.5 cm")
    expect(weather.locator("a[data-format=csv]")).to_have_attribute("href", re.compile("columns=temperature.*snowfall"))
    weather.locator("select").select_option("temperature")
    expect(weather.locator("a[data-format=csv]")).to_have_attribute("href", re.compile("^(?!.*columns=)"))


def test_month_ahead_is_a_square_of_its_dataset_alone_and_not_the_newest_to_plot(open_page: Open) -> None:
    page = open_page(fragment="#valencia?months=12")
    ahead = "[data-month='2027-01']"
    expect(page.locator(f"table[data-dataset=calendar] {ahead}")).to_have_attribute("data-state", "settled")
    expect(page.locator(f"table[data-dataset=weather] {ahead}")).to_have_count(0)
    page.get_by_role("button", name="Last month").click()
    expect(page.locator("#plot-range")).to_have_text("November 2026")
    page.locator(f"table[data-dataset=calendar] {ahead}").click()
    expect(page.locator("#plot-range")).to_have_text("January 2027")


def test_flag_is_plotted_and_read_in_words(open_page: Open) -> None:
    page = open_page(fragment="#valencia?month=2026-10")
    calendar = panel(page, "calendar")
    calendar.locator("select").select_option("is_weekend")
    expect(calendar.locator(".meta")).to_have_text("31 of 31 days have a value")
    calendar.locator(".chart").focus()
    page.keyboard.press("Home")
    expect(calendar.locator(".readout .now")).to_have_text("Is weekend no")
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    expect(calendar.locator(".readout .now")).to_have_text("Is weekend yes")


def test_origin_of_the_newest_month_is_shown_on_request(open_page: Open) -> None:
    page = open_page(fragment="#barcelona?months=12")
    origin = panel(page, "weather").locator(".origin")
    origin.get_by_text("Where October 2026 is from").click()
    expect(origin.locator("dd").first).to_have_text("sandbox:open_meteo")
    expect(origin).to_contain_text("0 used, 0 received")
    cell(page, "weather", "2026-09").click()
    expect(origin.locator("summary")).to_have_text("Where September 2026 is from")
    expect(origin.locator("dd").first).to_have_text("test")


def test_arrow_keys_move_between_months_and_describe_each(open_page: Open) -> None:
    page = open_page(fragment="#madrid")
    cell(page, "traffic", "2026-11").focus()
    page.keyboard.press("ArrowLeft")
    october = cell(page, "traffic", "2026-10")
    expect(october).to_be_focused()
    expect(october).to_have_text("90")
    page.keyboard.press("ArrowLeft")
    failed = cell(page, "traffic", "2026-09")
    expect(failed).to_be_focused()
    expect(failed).to_have_text("!")
    detail = page.locator("#month-detail")
    expect(detail).to_contain_text("September 2026, traffic: failed")
    expect(detail).to_contain_text(TROUBLE)
    label = failed.get_attribute("aria-label")
    assert label is not None
    assert TROUBLE in label
    page.keyboard.press("ArrowUp")
    never = cell(page, "traffic", "2025-09")
    expect(never).to_be_focused()
    expect(detail).to_contain_text("city-data backfill --city madrid --dataset traffic --from 2025-09 --to 2025-09")
    page.keyboard.press("Home")
    expect(cell(page, "traffic", "2024-11")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(cell(page, "traffic", "2024-11")).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.locator("#plot-range")).to_have_text("October 2026")
    cell(page, "weather", "2026-11").hover()
    expect(detail).to_contain_text("November 2026, weather: not yet published")
    assert page.locator("table[data-dataset=weather] [tabindex='0']").count() == 1


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
