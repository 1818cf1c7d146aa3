"""What a reader takes away from a plot: files of the range, and programs that give exactly the plotted numbers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from api.settings import Settings
from city_data.local.embedded import EmbeddedPostgres
from city_data.store.database import Database
from city_data.store.months import replace_month
from city_data_tests.api.issuer import Issuer, locked_by
from city_data_tests.api.rows import rows_of
from city_data_tests.browser.conftest import DATABASE, NOW, Open, forecast_load, serving
from city_data_tests.browser.elements import panel
from city_data_tests.browser.programs import RUNNERS, Runner, Snippet, from_duckdb, shown

VIEWS = {
    "#madrid": "traffic",
    "#barcelona?month=2026-10&weather=temperature": "weather",
    "#madrid?show=training&training=traffic_volume": "training",
    "#madrid?month=2026-10&show=training&resolution=hourly&training=traffic_volume": "training",
    "#madrid?month=2026-10&calendar=days_to_holiday": "calendar",
    "#valencia?month=2026-10&show=training&resolution=dayparts&weather_lead_days=2": "training",
    "#valencia?show=ahead&resolution=hourly": "ahead",
}
LOCKED_VIEWS = {"#madrid?months=1": "traffic"}
Taken = dict[str, list[Snippet]]


def take(page: Page, address: str, token: str, views: dict[str, str]) -> Taken:
    """Every snippet of the plots, by language."""
    taken: Taken = {language: [] for language, _ in RUNNERS}
    for fragment, dataset in views.items():
        page.goto("about:blank")  # another fragment alone would not load the page anew
        page.goto(f"{address}/{fragment}")
        plot = panel(page, dataset)
        expect(plot.locator("canvas")).to_be_visible()
        expect(plot.locator(".export")).to_be_visible()
        data = shown(plot.locator(".chart").evaluate("(chart) => JSON.stringify(chart.plot.data.slice(0, 2))"))
        column = plot.locator("select").first.input_value()
        plot.locator(".export summary").click()
        for language, snippets in taken.items():
            plot.locator(f"[data-language={language}]").click()
            code = plot.locator(".request code").text_content() or ""
            snippets.append(Snippet(f"{fragment} {language}", column, code, token, data))
    return taken


@pytest.fixture(scope="module")
def taken(
    browser: Browser, url: str, postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Taken]:
    """From a reader without tokens, and one view of a reader with them. Then Valencia's month is corrected: a snippet
    gives the numbers that were plotted."""
    issuer = Issuer()
    settings = {
        "database_url": postgres.url(DATABASE),
        **locked_by(issuer, tmp_path_factory.mktemp("keys")),
        "api_ledger_ttl_s": 0,
    }
    with serving(Settings.model_validate(settings)) as locked:
        context = browser.new_context()
        page = context.new_page()
        page.clock.set_fixed_time(NOW)
        found = take(page, url, "", VIEWS | {"#valencia?month=2026-10&lead_days=3": "forecast"})
        page.goto(locked)
        token = issuer.token()
        page.evaluate("(token) => sessionStorage.setItem('city_data_token', token)", token)
        for language, snippets in take(page, locked, token, LOCKED_VIEWS).items():
            found[language] += snippets
        context.close()
        database = Database(postgres.url(DATABASE))
        replace_month(database, forecast_load("2026-10", at=datetime(2026, 11, 12, tzinfo=UTC), add=100.0))
        database.dispose()
        yield found


@pytest.mark.parametrize(("language", "run"), RUNNERS)
def test_every_snippet_gives_the_plotted_numbers(taken: Taken, language: str, run: Runner, tmp_path: Path) -> None:
    snippets = [one for one in taken[language] if run is not from_duckdb or not one.token]
    assert len(snippets) == len(VIEWS) + 1 + (0 if run is from_duckdb else len(LOCKED_VIEWS))
    for snippet, found in zip(snippets, run(snippets, tmp_path), strict=True):
        plotted = {at: value for at, value in snippet.shown.items() if at in found or value is not None}
        assert len(found) >= 28, snippet.name
        assert found == plotted, snippet.name


def test_range_is_downloaded_in_every_form(open_page: Open) -> None:
    page = open_page(fragment="#madrid?month=2026-10")
    for dataset, rows in (("weather", 31), ("traffic", 745)):
        plot = panel(page, dataset)
        expect(plot.locator("canvas")).to_be_visible()
        for name, kind, ending in (
            ("CSV", "csv", "csv"),
            ("Parquet", "parquet", "parquet"),
            ("Arrow", "arrow", "arrows"),
        ):
            with page.expect_download() as download:
                plot.get_by_role("link", name=name).click()
            assert download.value.suggested_filename == f"madrid_{dataset}_2026-10_2026-10.{ending}"
            found = rows_of(kind, download.value.path().read_bytes())
            assert len(found) == rows
            assert {"date", "source"} < set(found[0])


def test_training_frame_is_plotted_and_downloaded(open_page: Open) -> None:
    page = open_page(fragment="#madrid?month=2026-10")
    page.get_by_role("button", name="Training frame").click()
    plot = panel(page, "training")
    expect(plot.locator(".meta")).to_have_text("28 of 31 days have a value")
    plot.locator(".chart").focus()
    page.keyboard.press("Home")
    for _ in range(11):
        page.keyboard.press("ArrowRight")
    expect(plot.locator(".readout")).to_contain_text("Mon, 12 Oct 2026")
    expect(plot.locator(".readout")).to_contain_text("Fiesta Nacional de España")
    with page.expect_download() as download:
        plot.get_by_role("link", name="Parquet").click()
    assert download.value.suggested_filename == "madrid_training_2026-10_2026-10.parquet"
    rows = rows_of("parquet", download.value.path().read_bytes())
    assert len(rows) == 31
    assert {"temperature", "traffic_volume_missing", "public_holiday"} < set(rows[0])


def test_refused_download_is_shown(open_page: Open) -> None:
    page = open_page(fragment="#madrid?months=1")
    plot = panel(page, "traffic")
    expect(plot.locator("canvas")).to_be_visible()
    wrong = "(link) => { link.href = link.href.replace(/start_date=[^&]*/, 'start_date=yesterday'); }"
    plot.locator("[data-format=csv]").evaluate(wrong)
    plot.get_by_role("link", name="CSV").click()
    expect(page.get_by_role("alert").locator("h2")).to_have_text("The service refused")
