"""The page's address: the view is in it, Back leaves a view, and what it names and nothing here has is reported."""

from __future__ import annotations

from playwright.sync_api import expect

from city_data_tests.browser.conftest import Open
from city_data_tests.browser.elements import cell, panel


def test_view_is_in_the_address_and_back_leaves_it(open_page: Open, url: str) -> None:
    page = open_page(fragment="#madrid")
    weather = panel(page, "weather")
    expect(weather.locator("canvas")).to_be_visible()
    page.locator("#city-list [data-city=barcelona]").click()
    page.get_by_role("button", name="12 months").click()
    weather.locator("select").select_option("humidity")
    cell(page, "weather", "2026-09").click()
    page.get_by_role("button", name="Training frame").click()
    page.get_by_role("button", name="Hours", exact=True).click()
    full = "#barcelona?months=12&month=2026-09&show=training&resolution=hourly&weather=humidity"
    assert page.evaluate("location.hash") == full
    expect(panel(page, "training").locator(".meta")).to_have_text("648 of 720 hours have a value")
    expect(weather).to_be_hidden()

    page.go_back()
    page.go_back()
    expect(weather.locator("select")).to_have_value("humidity")
    expect(page.locator("#plot-range")).to_have_text("September 2026")
    page.go_back()
    expect(page.locator("#plot-range")).to_have_text("November 2025 – October 2026")
    page.go_back()
    expect(weather.locator("select")).to_have_value("temperature")
    page.go_back()
    expect(page.get_by_role("button", name="3 months")).to_have_attribute("aria-pressed", "true")
    page.go_back()
    expect(page.locator("#coverage-title")).to_contain_text("Madrid")
    page.go_forward()
    expect(page.locator("#coverage-title")).to_contain_text("Barcelona")

    again = open_page(fragment=full)
    expect(panel(again, "training").locator(".meta")).to_have_text("648 of 720 hours have a value")
    again.get_by_role("button", name="History").click()
    expect(panel(again, "weather").locator("select")).to_have_value("humidity")


UNKNOWN = [
    ("#atlantis", "atlantis", "Barcelona"),
    ("#%E0%A4%A", "%E0%A4%A", "Barcelona"),
    ("#madrid?months=5&wether=humidity", "months=5, wether=humidity", "Madrid"),
    ("#barcelona?weather=<b>sun</b>", "weather=<b>sun</b>", "Barcelona"),
    ("#madrid?month=2026-13", "month=2026-13", "Madrid"),
    ("#barcelona?month=2031-01", "month=2031-01", "Barcelona"),
    ("#madrid?traffic=temperature&toString=1&__proto__=1", "traffic=temperature, toString=1, __proto__=1", "Madrid"),
]


def test_unknown_parts_of_an_address_are_named(open_page: Open) -> None:
    page = open_page(fragment=UNKNOWN[0][0])
    notice = page.locator("#unknown")
    for fragment, named, shown in UNKNOWN:
        page.evaluate("(fragment) => { location.hash = fragment; }", fragment)
        expect(notice).to_contain_text(f"does not have: {named}.")
        expect(notice).to_contain_text(f"{shown} is shown instead.")
        expect(page.locator("#coverage-title")).to_contain_text(shown)
        expect(page.locator("#plot-range")).to_have_text("August 2026 – October 2026")
    page.get_by_role("button", name="Last month").click()
    expect(notice).to_be_hidden()


def test_address_edited_by_hand_is_followed(open_page: Open) -> None:
    page = open_page(fragment="#madrid")
    expect(page.locator("#coverage-title")).to_contain_text("Madrid")
    page.evaluate("location.hash = '#barcelona?months=1'")
    expect(page.locator("#coverage-title")).to_contain_text("Barcelona")
    expect(page.locator("#plot-range")).to_have_text("October 2026")
    page.evaluate("location.hash = '#nowhere'")
    expect(page.locator("#unknown")).to_contain_text("nowhere")
