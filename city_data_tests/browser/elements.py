"""Elements of the page that several tests look up.

Belongs here: locators shared by the tests of this folder. Does not: scripts that measure; see measures.py.
"""

from __future__ import annotations

from playwright.sync_api import Locator, Page


def panel(page: Page, dataset: str) -> Locator:
    return page.locator(f".panel[data-dataset={dataset}]")


def cell(page: Page, dataset: str, month: str) -> Locator:
    return page.locator(f"table[data-dataset={dataset}] [data-month='{month}']")
