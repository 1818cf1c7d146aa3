"""The layout in a real browser: phones, contrast, states without colour, labels and circles of the map, licences."""

from __future__ import annotations

import itertools
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from city_data.providers import discover
from city_data_tests.browser.conftest import PHONE, TROUBLE, Open
from city_data_tests.browser.elements import cell, panel
from city_data_tests.browser.measures import PALE


def test_states_are_distinguishable_without_colour(open_page: Open) -> None:
    page = open_page(fragment="#barcelona")
    expect(cell(page, "weather", "2026-08")).to_have_text("–")
    expect(cell(page, "weather", "2026-08")).to_have_attribute("data-state", "not_available")
    expect(cell(page, "weather", "2026-10")).to_have_css("text-decoration-line", "underline")
    expect(cell(page, "weather", "2026-09")).to_have_css("text-decoration-line", "none")
    expect(page.locator("#legend li")).to_have_count(6)


def test_phone_layout_does_not_scroll_sideways(open_page: Open) -> None:
    page = open_page(fragment="#madrid", size=PHONE)
    expect(panel(page, "traffic").locator("canvas")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    over = "(all) => all.filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML)"
    assert page.locator("main *:not(svg *), footer *").evaluate_all(over) == []
    tight = "(all) => all.filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent)"
    assert page.locator("[role=gridcell]").evaluate_all(tight) == []
    page.locator("#city-list [data-city=lisbon]").click()
    expect(panel(page, "weather")).to_contain_text("city-data backfill --city lisbon")
    expect(panel(page, "traffic")).to_contain_text("No source of traffic is known for Lisbon")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_contrast_is_sufficient_in_light_and_dark(open_page: Open, scheme: Literal["light", "dark"]) -> None:
    page = open_page(fragment="#madrid", scheme=scheme)
    cell(page, "traffic", "2026-09").focus()
    expect(page.locator("#month-detail")).to_contain_text(TROUBLE)
    assert page.evaluate(PALE) == []
    page.locator("#city-list [data-city=barcelona]").click()
    expect(cell(page, "weather", "2026-10")).to_have_attribute("data-state", "provisional")
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


def test_many_cities_can_be_searched_and_labels_do_not_overlap(open_page: Open, many: str) -> None:
    page = open_page(at=many, fragment="#c41")
    expect(page.locator("#coverage-title")).to_contain_text("Cityname 41")
    chosen = page.locator("#city-list [data-city=c41]")
    expect(chosen).to_be_in_viewport()
    assert page.evaluate("scrollY") == 0
    page.get_by_role("button", name="All cities").click()
    labels = page.locator(".city text:not([display=none])")
    expect(labels.filter(has_text="Cityname 41")).to_have_count(1)
    boxes = labels.evaluate_all("(all) => all.map((e) => e.getBoundingClientRect().toJSON())")
    assert 7 <= len(boxes) < 42
    for a, b in itertools.combinations(boxes, 2):
        apart = a["right"] <= b["left"] or b["right"] <= a["left"] or a["bottom"] <= b["top"] or b["bottom"] <= a["top"]
        assert apart, (a, b)
    page.get_by_label("Find a city").fill("name 7")
    expect(page.locator("#city-list li:visible")).to_have_count(1)
    expect(chosen).to_be_hidden()
    _assert_phone_shows_every_city(open_page(at=many, fragment="#c41", size=PHONE))


def _assert_phone_shows_every_city(page: Page) -> None:
    scrolls = "(list) => list.scrollHeight > list.clientHeight + 1"
    # The list is drawn after the cities have been read, which a click elsewhere waits for and a measurement does not.
    expect(page.locator("#city-list button")).to_have_count(42)
    assert page.locator("#city-list").evaluate(scrolls)
    page.get_by_role("button", name="Show all 42 cities").click()
    assert not page.locator("#city-list").evaluate(scrolls)
    page.locator("#city-list [data-city=c17]").click()
    expect(page.locator("#coverage-title")).to_contain_text("Cityname 17")


def test_phone_shows_every_city_of_a_short_list(open_page: Open) -> None:
    page = open_page(fragment="#madrid", size=PHONE)
    expect(page.locator("#city-list button:visible")).to_have_count(4)
    assert page.locator("#city-list").evaluate("(list) => list.scrollHeight <= list.clientHeight + 1")


def test_made_up_data_is_declared(open_page: Open) -> None:
    page = open_page(fragment="#madrid")
    banner = page.locator("#made-up")
    for city, words in (
        ("valencia", "Made-up data: the values of Valencia were generated by the sandbox."),
        ("madrid", None),
        ("barcelona", "Made-up data: 1 of the 2 stored months of Barcelona were generated by the sandbox."),
        ("lisbon", None),
    ):
        page.locator(f"#city-list [data-city={city}]").click()
        expect(page.locator("#coverage-title")).to_contain_text(city.capitalize())
        if words is None:
            expect(banner).to_be_hidden()
        else:
            expect(banner).to_contain_text(words)


def test_page_links_the_documentation_of_the_routes(open_page: Open) -> None:
    link = open_page(fragment="#madrid").get_by_role("link", name="Routes and parameters of the service")
    expect(link).to_be_visible()
    assert link.evaluate("(link) => new URL(link.href).pathname") == "/docs"
