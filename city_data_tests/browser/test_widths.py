"""The page at every width, in light and dark, on paper, in five languages: nothing is cut, axe-core finds no fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from api.settings import Settings
from city_data.local.embedded import EmbeddedPostgres, free_port
from city_data_tests.api.issuer import Issuer, locked_by
from city_data_tests.browser.conftest import DATABASE, Open, Scheme, serving
from city_data_tests.browser.elements import panel
from city_data_tests.browser.measures import CUT
from city_data_tests.browser.views import EVERY_LOOK, EVERY_VIEW, IS_WHOLE, PAPER, SOME_VIEWS, WIDTHS
from city_data_tests.clients.packages import TEST_TOOLS
from city_data_tests.tools import refuse_or_skip

AXE = TEST_TOOLS / "axe-core" / "axe.min.js"


def serious_violations(page: Page) -> list[Any]:
    """Of axe-core's rules, those whose impact is serious or critical."""
    if not AXE.exists():
        refuse_or_skip("axe-core is not installed; `make clients` brings it where npm is")
    page.evaluate(f"{AXE.read_text()};0")
    found = page.evaluate("axe.run().then(({ passes, violations }) => ({ passes: passes.length, violations }))")
    assert found["passes"] > 20
    return [one for one in found["violations"] if one["impact"] in ("serious", "critical")]


def faults_at_every_width(page: Page) -> dict[str, Any]:
    """What is cut on the screen and on paper, and what axe-core finds, by width; only widths with a fault."""
    found: dict[str, Any] = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        found[f"{width}"] = page.evaluate(CUT)
        if IS_WHOLE or width in (390, 1024):
            found[f"{width} axe"] = serious_violations(page)
        page.emulate_media(media="print")
        found[f"{width} printed"] = page.evaluate(CUT)
        page.emulate_media(media="screen")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": PAPER, "height": 900})
    found["paper"] = page.evaluate(CUT)
    return {place: faults for place, faults in found.items() if faults}


def fill(page: Page) -> None:
    """The page with as much text as it can show: a month's facts, a record's values, the longest program."""
    expect(page.locator(".panel:visible .chart > *").first).to_be_visible()
    expect(page.locator(".loading:visible")).to_have_count(0)
    page.locator("[role=gridcell]").last.focus()
    for chart in page.locator(".chart:not(.empty):visible").all():
        chart.focus()
        page.keyboard.press("Home")
    for export in page.locator(".export:visible").all():
        export.locator("summary").click()
        export.locator("[data-language=TypeScript]").click()
    for origin in page.locator(".origin:visible summary").all():
        origin.click()
    expect(page.locator(".loading:visible")).to_have_count(0)


@pytest.mark.parametrize(("locale", "scheme", "fragment"), EVERY_VIEW if IS_WHOLE else SOME_VIEWS)
def test_nothing_is_cut_at_any_width_or_on_paper(open_page: Open, locale: str, scheme: Scheme, fragment: str) -> None:
    page = open_page(fragment=fragment, locale=locale, scheme=scheme)
    fill(page)
    assert json.dumps(faults_at_every_width(page), indent=1) == "{}"


@pytest.mark.parametrize(("locale", "scheme"), EVERY_LOOK if IS_WHOLE else [("fr-FR", "dark")])
def test_form_for_a_token_is_not_cut(
    open_page: Open, postgres: EmbeddedPostgres, tmp_path: Path, locale: str, scheme: Scheme
) -> None:
    settings = {"database_url": postgres.url(DATABASE), **locked_by(Issuer(), tmp_path)}
    with serving(Settings.model_validate(settings)) as locked:
        page = open_page(at=locked, locale=locale, scheme=scheme)
        page.locator("#token").fill("not.a.token")
        page.locator("#token-form button").click()
        expect(page.locator("#token-why")).to_contain_text(":")
        assert json.dumps(faults_at_every_width(page), indent=1) == "{}"


@pytest.mark.parametrize(("locale", "scheme"), EVERY_LOOK if IS_WHOLE else [("pt-PT", "light")])
def test_report_of_a_missing_database_is_not_cut(open_page: Open, locale: str, scheme: Scheme) -> None:
    settings = {"database_url": f"postgresql://nobody@127.0.0.1:{free_port()}/none", "auth_mode": "none"}
    with serving(Settings.model_validate(settings)) as away:
        page = open_page(at=away, locale=locale, scheme=scheme)
        expect(page.locator("#notice")).to_be_visible()
        assert json.dumps(faults_at_every_width(page), indent=1) == "{}"


@pytest.mark.parametrize(("locale", "scheme"), EVERY_LOOK if IS_WHOLE else [("ca-ES", "light")])
def test_long_list_of_cities_is_not_cut(open_page: Open, many: str, locale: str, scheme: Scheme) -> None:
    page = open_page(at=many, locale=locale, scheme=scheme, fragment="#c41")
    expect(page.locator("#whole-list")).to_be_visible()
    expect(page.locator("#coverage-title")).to_contain_text("Cityname 41")
    assert json.dumps(faults_at_every_width(page), indent=1) == "{}"


def test_paper_is_white_when_the_screen_is_dark(open_page: Open) -> None:
    page = open_page(fragment="#madrid", scheme="dark")
    expect(panel(page, "traffic").locator("canvas")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    expect(page.locator(".map-tools")).to_be_hidden()
    assert len(page.pdf(format="A4")) > 10_000


@pytest.mark.parametrize("width", [320, 820, 1280])
def test_circles_are_seen_at_the_opening_scale(open_page: Open, width: int) -> None:
    page = open_page(fragment="#lisbon", size={"width": width, "height": 900})
    expect(page.locator("#coverage-title")).to_contain_text("Lisbon")
    radius, dot = page.evaluate(
        """["path.reach.chosen", ".city.chosen .dot"]
          .map((one) => document.querySelector(one).getBoundingClientRect().width / 2)"""
    )
    assert radius >= 6
    assert radius > dot + 3
