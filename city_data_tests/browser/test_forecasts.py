"""Forecasts on the page: a line of one lead, frames of what was known, the days ahead, and how good they were."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from city_data_tests.api.conftest import TENANT
from city_data_tests.browser.conftest import Open
from city_data_tests.browser.elements import cell, panel

VALENCIA = {"latitude": 39.4699, "longitude": -0.3763}
BARE = "page/icon.svg"  # where scripts of the page can be imported, and nothing is requested
OCTOBER = {"start_date": "2026-10-01", "end_date": "2026-10-31"}


def records(url: str, path: str, **query: Any) -> list[dict[str, Any]]:
    answer = httpx.get(f"{url}/api/v1/tenants/{TENANT}/external/{path}", params=VALENCIA | query)
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found


def column(rows: list[dict[str, Any]], name: str) -> list[tuple[float, Any]]:
    return [(datetime.fromisoformat(row["date"]).timestamp(), row[name]) for row in rows]


def plotted(plot: Locator) -> tuple[list[tuple[float, Any]], list[list[Any]]]:
    """The line's points, and the values of further lines."""
    expect(plot.locator("canvas")).to_be_visible()
    times, values, *others = plot.locator(".chart").evaluate("(chart) => chart.plot.data")
    return list(zip(times, values, strict=True)), others


def test_history_of_forecasts_is_one_line_of_a_lead_beside_what_was_measured(open_page: Open, url: str) -> None:
    page = open_page(fragment="#valencia?month=2026-10")
    plot = panel(page, "forecast")
    rows = records(url, "operations/historical-forecast-optimized", **OCTOBER)
    days = records(url, "operations/historical-weather-optimized", **OCTOBER)
    for lead, address in ((1, ""), (3, "&lead_days=3")):
        line, (measured,) = plotted(plot)
        assert line == column([row for row in rows if row["lead_days"] == lead], "temperature")
        # A day's mean, at each of its 24 hours, of which the day of the changed clock has one more.
        assert measured[:48] == [days[0]["temperature"]] * 24 + [days[1]["temperature"]] * 24
        assert len(measured) == 745
        expect(plot.locator(".lines")).to_contain_text(f"Forecast, {lead} day")
        assert page.evaluate("location.hash") == f"#valencia?month=2026-10{address}"
        if lead == 1:
            plot.get_by_label("Days before").select_option("3")
            expect(plot.locator(".lines")).to_contain_text("3 days before")
    plot.locator("select").first.select_option("precipitation")  # a day's total is no hour's
    expect(plot.locator(".lines")).to_be_hidden()
    page.go_back()
    page.go_back()
    expect(plot.get_by_label("Days before")).to_have_value("1")


def test_frame_of_parts_of_days_with_what_was_known_before_each(open_page: Open, url: str) -> None:
    page = open_page(fragment="#valencia?month=2026-10&show=training")
    plot = panel(page, "training")
    expect(plot.locator(".meaning")).to_contain_text("the city's configured stations")
    page.get_by_role("button", name="Parts of days").click()
    page.locator("#frame-leads select").select_option("2")
    assert page.evaluate("location.hash") == (
        "#valencia?month=2026-10&show=training&resolution=dayparts&weather_lead_days=2"
    )
    expect(plot.locator(".meaning")).to_contain_text("the model's grid cell")
    expect(plot.locator(".meta")).to_contain_text("of 155 parts of days")
    elsewhere = plot.locator("optgroup").evaluate("(group) => [...group.children].map((option) => option.value)")
    assert "sunshine_duration" in elsewhere
    assert "temperature_min" not in elsewhere  # the lowest of the hours
    query = {**OCTOBER, "resolution": "dayparts", "weather": "forecast", "lead_days": 2}
    rows = records(url, "operations/training-frame", **query)
    line, others = plotted(plot)
    assert (line, others) == (column(rows, "temperature"), [])
    assert any(value is not None for _, value in line)
    plot.locator(".chart").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(plot.locator("time")).to_have_text("Thu, 1 Oct 2026, morning")
    expect(plot.locator(".readout")).to_contain_text("Weather lead days 2")
    page.go_back()
    expect(page.locator("#frame-leads select")).to_have_value("observed")


def test_days_ahead_are_plotted_and_their_program_names_the_day(open_page: Open, url: str) -> None:
    page = open_page(fragment="#valencia")
    page.get_by_role("button", name="Days ahead").click()
    plot = panel(page, "ahead")
    expect(page.locator("#plot-range")).to_have_text("Mon, 16 Nov 2026 – Sun, 22 Nov 2026")
    line, _ = plotted(plot)
    assert line == column(records(url, "forecast-frame", days=7), "temperature")
    assert [value is None for _, value in line] == [False] * 7
    expect(page.locator("#ranges")).to_be_hidden()
    link = plot.get_by_role("link", name="CSV")
    expect(link).to_have_attribute("href", re.compile(r"/external/forecast-frame\?.*days=7.*as_of=2026-11-15&version="))
    expect(link).to_have_attribute("download", "valencia_ahead_2026-11-16_2026-11-22.csv")
    cell(page, "forecast", "2026-10").click()  # of a month that has passed: its history
    expect(page.locator("#plot-range")).to_have_text("October 2026")
    page.go_back()
    page.go_back()
    expect(page.locator("#plot-range")).to_have_text("September 2026 – November 2026")


def error(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def numbers(page: Page, rows: str) -> list[list[str]]:
    return page.locator(rows).evaluate_all("(rows) => rows.map((row) => [...row.cells].map((c) => c.textContent))")


def test_errors_of_forecasts_are_shown_by_lead_and_by_month(open_page: Open, url: str) -> None:
    page = open_page(fragment="#valencia")
    skill = page.locator("#skill")
    expect(skill.locator("caption").first).to_have_text("Temperature of all stored months, Valencia")
    found = httpx.get(f"{url}/api/v1/cities/valencia/forecast/skill").json()["skill"]
    assert [one["lead_days"] for one in found] == [1, 2, 3, 4, 5, 6, 7]
    first = found[0]
    sign = "+" if first["bias"] > 0 else "−"
    by_lead = numbers(page, ".by-lead tbody tr")
    assert by_lead[0] == ["1 day before", error(first["mae"]), sign + error(abs(first["bias"])), str(first["count"])]
    assert len(by_lead) == 7
    assert numbers(page, ".by-month tbody tr") == [["Oct", *(error(one["mae"]) for one in found)]]
    expect(skill.get_by_text("Here a pair is a day")).to_be_visible()
    expect(skill.locator(".left-out")).to_have_text("Precipitation: 31 values of days “from dew to dew”")
    skill.get_by_role("button", name="Pairs").click()
    assert page.evaluate("location.hash") == "#valencia?measure=count"
    assert numbers(page, ".by-month tbody tr") == [["Oct", *(str(one["count"]) for one in found)]]
    page.locator("#city-list [data-city=lisbon]").click()
    expect(skill).to_contain_text("No forecast of Lisbon was compared yet")
    expect(skill.locator("select")).to_be_hidden()


POOLED = """async (errors) => (await import("/page/skill.js")).pooled(errors)"""


def test_errors_of_months_are_pooled_by_their_pairs(open_page: Open) -> None:
    page = open_page(fragment=BARE)
    errors = [{"mae": 1.0, "bias": 1.0, "count": 30}, {"mae": 4.0, "bias": -2.0, "count": 10}]
    assert page.evaluate(POOLED, errors) == {"mae": 1.75, "bias": 0.25, "count": 40}
    assert page.evaluate(POOLED, []) is None


# Stretches of a column's marks, and gaps of a line, over records that are made here.
STRETCHES = """async ([records, column]) => {
  const [{ series }, { stretches }] = await Promise.all(["series", "lanes"].map((name) => import(`/page/${name}.js`)));
  const start = Date.parse(records[0].date) / 1000;
  const made = series(records, () => 1, { to: start + records.length * 86400 });
  const day = (time) => (time - start) / 86400;
  return stretches(made, column).map(({ from, to, mark }) => [day(from), day(to), mark]);
}"""


@pytest.mark.parametrize("known", [{"feast_known": True}, {"feast_missing": False}])
def test_unknown_days_are_marked_apart_from_those_without_a_feast(open_page: Open, known: dict[str, bool]) -> None:
    names = ["A", "A", None, "B", None]
    days = [{"date": f"2026-05-0{n}T00:00:00Z", "feast": name, **known} for n, name in enumerate(names, 1)]
    (flag,) = known
    days[-1][flag] = not known[flag]
    feast = {"name": "feast", "kind": "text", "none_where": ["feast_known", True]}
    found = open_page(fragment=BARE).evaluate(STRETCHES, [days, feast])
    assert found == [[0, 2, "A"], [3, 4, "B"], [4, 5, None]]


GAPS = """async ([records, to]) => {
  const { gaps, series } = await import("/page/series.js");
  const made = series(records, ({ value }) => value, { grid: "dayparts", to });
  return gaps(made, made.times[0], to);
}"""


def test_gap_in_parts_of_days_is_as_long_as_the_part(open_page: Open) -> None:
    starts = ["2026-10-24T22:00", "2026-10-25T05:00", "2026-10-25T10:00", "2026-10-25T14:00"]  # a night of 7 hours
    stamps = [datetime.fromisoformat(f"{start}:00+00:00").timestamp() for start in starts]
    values = [1.0, None, 2.0, 3.0]
    rows = [{"date": f"{start}:00Z", "value": value} for start, value in zip(starts, values, strict=True)]
    assert open_page(fragment=BARE).evaluate(GAPS, [rows, stamps[-1] + 4 * 3600]) == [[stamps[1], stamps[2]]]
