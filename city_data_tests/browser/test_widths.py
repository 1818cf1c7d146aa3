"""The page at every width, in light and dark, on paper, in five languages: nothing is cut, axe-core finds no fault."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from city_data_tests.browser.conftest import Open, Scheme
from city_data_tests.browser.elements import panel
from city_data_tests.browser.measures import CUT
from city_data_tests.clients.packages import TEST_TOOLS
from city_data_tests.tools import refuse_or_skip

WIDTHS = (320, 390, 768, 820, 1024, 1280)
PAPER = 718  # CSS pixels of A4 between its margins
AXE = TEST_TOOLS / "axe-core" / "axe.min.js"


def serious_violations(page: Page) -> list[Any]:
    """Of axe-core's rules, those whose impact is serious or critical."""
    if not AXE.exists():
        refuse_or_skip("axe-core is not installed; `make clients` brings it where npm is")
    page.evaluate(f"{AXE.read_text()};0")
    found = page.evaluate("axe.run().then(({ passes, violations }) => ({ passes: passes.length, violations }))")
    assert found["passes"] > 20
    return [one for one in found["violations"] if one["impact"] in ("serious", "critical")]


@pytest.mark.parametrize(
    ("locale", "scheme", "fragment"),
    [
        ("en-GB", "light", "#madrid"),
        ("en-GB", "dark", "#barcelona"),
        ("es-ES", "dark", "#madrid?traffic=congestion_level"),
        ("fr-FR", "light", "#barcelona?show=training&resolution=hourly"),
        ("pt-PT", "dark", "#barcelona?month=2026-09"),
        ("ca-ES", "light", "#valencia"),
    ],
)
def test_nothing_is_cut_at_any_width_or_on_paper(open_page: Open, locale: str, scheme: Scheme, fragment: str) -> None:
    page = open_page(fragment=fragment, locale=locale, scheme=scheme)
    expect(page.locator(".panel canvas:visible").first).to_be_visible()
    for summary in page.locator(".panel summary:visible").all():
        summary.click()
    cut: dict[str, list[str]] = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        cut[str(width)] = page.evaluate(CUT)
        if width in (390, 1024):
            assert json.dumps(serious_violations(page), indent=1) == "[]"
    page.emulate_media(media="print")
    page.set_viewport_size({"width": PAPER, "height": 900})
    cut["paper"] = page.evaluate(CUT)
    assert {place: found for place, found in cut.items() if found} == {}


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
