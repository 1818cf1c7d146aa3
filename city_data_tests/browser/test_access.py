"""The page of a reader that has lost its database, or that requires a token, in a real browser."""

from __future__ import annotations

from pathlib import Path

import psycopg
from playwright.sync_api import expect
from psycopg import sql

from api.settings import Settings
from city_data.local.embedded import EmbeddedPostgres
from city_data_tests.api.issuer import TENANT_A, Issuer, locked_by
from city_data_tests.browser.conftest import DATABASE, Open, serving
from city_data_tests.browser.elements import panel


def test_page_reports_a_missing_database_and_recovers(open_page: Open, url: str, postgres: EmbeddedPostgres) -> None:
    page = open_page(fragment="#madrid")
    expect(panel(page, "traffic").locator("canvas")).to_be_visible()
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        name = sql.Identifier(DATABASE)
        connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [DATABASE])
        try:
            page.locator("#city-list [data-city=barcelona]").click()
            alert = page.get_by_role("alert")
            expect(alert).to_contain_text("No data at the moment")
            expect(alert).to_contain_text("page tries again in")
            page.reload()
            expect(alert).to_contain_text("No data at the moment")
        finally:
            connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))
    alert.get_by_role("button", name="Ask again now").click()
    expect(page.locator("#coverage-title")).to_contain_text("Barcelona")
    expect(alert).to_be_hidden()


def test_token_opens_a_protected_reader_and_is_stored_in_the_tab_only(
    open_page: Open, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    issuer = Issuer()
    settings = {
        "database_url": postgres.url(DATABASE),
        **locked_by(issuer, tmp_path),
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
        expect(panel(page, "traffic").locator("canvas")).to_be_visible()
        expect(form).to_be_hidden()
        command = panel(page, "traffic").locator(".request code")
        expect(command).to_contain_text(f"/tenants/{TENANT_A}/")
        expect(command).to_contain_text("Bearer $TOKEN")
        assert token not in page.content()
        assert page.evaluate("[Object.keys(localStorage), document.cookie]") == [[], ""]
        page.get_by_role("button", name="Forget the token").click()
        expect(form).to_contain_text("answers only callers with a token")
        assert page.evaluate("sessionStorage.length") == 0
