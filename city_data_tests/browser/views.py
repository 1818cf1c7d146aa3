"""At which widths, in which languages and colours, and at which addresses the page is looked at.

Belongs here: the whole of it, and the part that every run of the suite takes. Does not: any test.
"""

from __future__ import annotations

import itertools
import os

from city_data_tests.browser.conftest import Scheme

WIDTHS = (320, 390, 768, 820, 1024, 1280)
PAPER = 718  # CSS pixels of A4 between its margins
LOCALES = ("en-GB", "es-ES", "fr-FR", "pt-PT", "ca-ES")
EVERY_LOOK: list[tuple[str, Scheme]] = list(itertools.product(LOCALES, ("light", "dark")))
VIEWS = (
    "#madrid",
    "#madrid?traffic=congestion_level&months=24",
    "#barcelona?show=training&resolution=dayparts&weather_lead_days=3",
    "#barcelona?month=2026-09",
    "#valencia?lead_days=7&measure=bias",
    "#valencia?show=ahead&resolution=hourly&forecast_skill=pressure",
    "#lisbon?month=2031-01&months=5",
)
EVERY_VIEW: list[tuple[str, Scheme, str]] = [(*look, view) for look in EVERY_LOOK for view in VIEWS]
# One view in each language at least.
SOME_VIEWS: list[tuple[str, Scheme, str]] = [
    ("en-GB", "light", "#madrid"),
    ("en-GB", "dark", "#lisbon?month=2031-01&months=5"),
    ("es-ES", "dark", "#madrid?traffic=congestion_level&months=24"),
    ("fr-FR", "light", "#barcelona?show=training&resolution=dayparts&weather_lead_days=3"),
    ("pt-PT", "dark", "#valencia?show=ahead&resolution=hourly&forecast_skill=pressure"),
    ("ca-ES", "light", "#valencia?lead_days=7&measure=bias"),
]
# `make page-test`: every view in every language, light and dark, with axe-core at every width.
IS_WHOLE = bool(os.environ.get("CITY_DATA_TEST_PAGE"))
