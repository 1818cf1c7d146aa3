"""The page's languages: by the browser's preference, complete, with dates and numbers to match."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from playwright.sync_api import expect

from api.routes.page import FOLDER
from city_data.datasets import DATASETS
from city_data.frames.grids import DAYPARTS
from city_data.frames.training_columns import training_columns
from city_data.providers import discover
from city_data_tests.browser.conftest import Open
from city_data_tests.browser.elements import panel

LANGUAGES = ["ca", "es", "fr", "pt"]
# A literal of a script that is a text: words, or a sentence. Programs to copy and classes of elements are none.
_TEXT = re.compile(r'\btext\(\s*"((?:[^"\\]|\\.)*)"|"([A-Z{][^"\\]*[a-z}][^"\\]* [^"\\]*)"')
_NOT_TEXTS = re.compile(r"^(\{\w+\}( \{\w+\})?|Authorization: .*)$")
_UNTRANSLATED = {"city_data", "city-data token", "1", "2", "3", "4", "+", "−"}


class Texts(HTMLParser):
    """The texts and labels of the document, without what is shown when scripts are switched off."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._is_skipped = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_skipped = self._is_skipped or tag == "noscript"
        self.found |= {value for name, value in attrs if name == "aria-label" and value}

    def handle_endtag(self, tag: str) -> None:
        self._is_skipped = self._is_skipped and tag != "noscript"

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if text and not self._is_skipped:
            self.found.add(text)


def texts_of_the_page() -> set[str]:
    document = Texts()
    document.feed((FOLDER / "index.html").read_text())
    scripts = "\n".join(path.read_text() for path in FOLDER.glob("*.js") if path.name != "snippets.js")
    literals = {first or second for first, second in _TEXT.findall(scripts)}
    columns = [column for dataset in DATASETS.values() for column in dataset.columns]
    computed = [column for column in training_columns("daily") if column.kind in ("number", "integer")]
    facts = {column.name.replace("_", " ").capitalize() for column in [*columns, *computed]} | set(DAYPARTS)
    facts |= {word for column in columns for word in column.allowed or ()}
    facts |= {column.unit for column in columns if column.unit and re.search(r"[a-z]{4}", column.unit)}
    meanings = [meaning for provider in discover().values() for meaning in provider.capabilities.meanings.values()]
    facts |= {meaning.quantity[0].upper() + meaning.quantity[1:] for meaning in meanings}
    facts |= {words for meaning in meanings for words in (meaning.area, meaning.per, meaning.method)}
    found = document.found | {one for one in literals if not _NOT_TEXTS.match(one)} | facts | set(DATASETS)
    return found - _UNTRANSLATED


def test_every_text_is_in_every_language(open_page: Open) -> None:
    texts = texts_of_the_page()
    assert len(texts) > 90
    page = open_page()
    for language in LANGUAGES:
        table = page.evaluate(f"import('/page/languages/{language}.js').then((module) => module.default)")
        assert texts - set(table) == set(), language
        for english, translated in table.items():
            wanted, given = (sorted(re.findall(r"\{\w+\}", one)) for one in (english, translated))
            assert given == wanted, f"{language}: {english}"


@pytest.mark.parametrize(
    ("locale", "coverage", "values", "range_", "day"),
    [
        (
            "en-US",
            "Stored months of Madrid",
            "1,341 of 2,209 hours have a value",
            "August 2026 – October 2026",
            "Oct 1",
        ),
        ("es-ES", "Meses guardados", "1341 de 2209 horas", "Agosto de 2026 – octubre de 2026", "1 oct 2026"),
        ("fr-FR", "Mois enregistrés", "1\u202f341 heures sur 2\u202f209", "Août 2026 – octobre 2026", "1 oct. 2026"),
        ("pt-BR", "Meses guardados", "1.341 de 2.209 horas", "Agosto de 2026 – outubro de 2026", "1 de out."),
        ("ca-ES", "Mesos desats", "1.341 de 2.209 hores", "Agost del 2026 – octubre del 2026", "1 d’oct"),
        ("de-DE", "Stored months of Madrid", "1,341 of 2,209 hours", "August 2026 – October 2026", "1 Oct 2026"),
    ],
)
def test_browser_chooses_the_language(
    open_page: Open, locale: str, coverage: str, values: str, range_: str, day: str
) -> None:
    page = open_page(fragment="#madrid", locale=locale)
    expect(page.locator("#coverage-title")).to_contain_text(coverage)
    expect(panel(page, "traffic").locator(".meta")).to_contain_text(values)
    expect(page.locator("#plot-range")).to_have_text(range_)
    language = "en" if locale == "de-DE" else locale[:2]
    assert page.evaluate("document.documentElement.lang") == language
    page.locator("[data-months='1']").click()
    weather = panel(page, "weather")
    expect(weather.locator(".meta")).to_contain_text("28")
    weather.locator(".chart").focus()
    page.keyboard.press("Home")
    expect(weather.locator("time")).to_contain_text(day)
