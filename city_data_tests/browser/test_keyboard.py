"""The page without a mouse: every control is reached by Tab, is seen when it is, and works by keys."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from city_data_tests.browser.conftest import Open, Scheme
from city_data_tests.browser.elements import panel
from city_data_tests.browser.views import EVERY_LOOK, IS_WHOLE, WIDTHS

# The names of all that Tab stops at, in the order of the document.
CONTROLS = """() => [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")]
  .filter((e) => e.checkVisibility() && !e.disabled && e.tabIndex === 0)
  .map((e) => e.ariaLabel || e.textContent.trim())"""
# What has the focus: its name, whether it is seen to have it, and whether any of it is on the screen.
FOCUSED = """() => {
  const e = document.activeElement;
  const { outlineStyle, outlineWidth } = getComputedStyle(e);
  const ring = e.closest("svg") ? getComputedStyle(e.querySelector(".target")).strokeWidth : outlineWidth;
  const box = e.getBoundingClientRect();
  const isOn = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  const isSeen = (outlineStyle !== "none" || e.closest("svg")) && ring !== "0px";
  return { tag: e.tagName, name: e.ariaLabel || e.textContent.trim(), isSeen, isOn };
}"""


def tab_until(page: Page, name: str) -> None:
    """Presses Tab until an element of that name, or the beginning of one, has the focus. Each on the way is seen."""
    passed = []
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        assert focused["isSeen"], focused
        assert focused["isOn"], focused
        passed.append(focused["name"])
        if focused["name"].startswith(name):
            return
    raise AssertionError(f"{name} is not among {passed}")


@pytest.mark.parametrize("width", WIDTHS if IS_WHOLE else (320,))
@pytest.mark.parametrize(("locale", "scheme"), EVERY_LOOK if IS_WHOLE else [("ca-ES", "dark")])
def test_tab_stops_at_every_control_once(open_page: Open, width: int, locale: str, scheme: Scheme) -> None:
    page = open_page(fragment="#barcelona", size={"width": width, "height": 700}, locale=locale, scheme=scheme)
    expect(panel(page, "weather").locator("canvas")).to_be_visible()
    expect(page.locator(".loading:visible")).to_have_count(0)
    panel(page, "weather").locator(".export details").evaluate("(details) => { details.open = true; }")
    controls = page.evaluate(CONTROLS)
    assert len(controls) > 30
    for key, expected in (("Tab", controls), ("Shift+Tab", controls[-2::-1])):
        stops = []
        for _ in expected:
            page.keyboard.press(key)
            stops.append(page.evaluate(FOCUSED))
        assert [stop["name"] for stop in stops] == expected
        assert [stop for stop in stops if not (stop["isSeen"] and stop["isOn"])] == []


def test_everything_is_reached_and_works_by_keys(open_page: Open) -> None:
    page = open_page(fragment="#madrid")
    weather = panel(page, "weather")
    expect(weather.locator("canvas")).to_be_visible()
    tab_until(page, "Skip to the cities")
    page.keyboard.press("Enter")
    assert page.evaluate("[document.activeElement.id, location.hash]") == ["cities-title", "#madrid"]
    tab_until(page, "Lisbon, reach")
    tab_until(page, "Zoom in")
    tab_until(page, "Barcelona")
    page.keyboard.press("Enter")
    expect(page.locator("#coverage-title")).to_contain_text("Barcelona")
    tab_until(page, "November 2026, weather")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.locator("#plot-range")).to_have_text("October 2026")
    tab_until(page, "Training frame")
    tab_until(page, "3 months")
    page.keyboard.press("Space")
    expect(page.locator("#plot-range")).to_have_text("August 2026 – October 2026")
    tab_until(page, "Temperature")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(weather.locator("select")).to_have_value("humidity")
    tab_until(page, "Barcelona: Humidity")
    page.keyboard.press("End")
    expect(weather.locator(".readout")).to_contain_text("31 Oct 2026")
    tab_until(page, "CSV")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "barcelona_weather_2026-08_2026-10.csv"
    tab_until(page, "The plotted numbers in a program")
    page.keyboard.press("Enter")
    tab_until(page, "Python")
    page.keyboard.press("Enter")
    expect(weather.locator(".request code")).to_contain_text("from city_data_client import CityData")
    tab_until(page, "Copy")
    tab_until(page, "Licences")
