"""`make docs`: rewrites the generated parts of docs/ from the code that they describe.

Belongs here: finding the parts and writing the pages. Does not: what a part says (variables.py, metrics.py, sources.py,
figures.py).

A generated part lies between `<!-- generated: NAME -->` and `<!-- end -->`; all else on a page is written by hand.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from city_data.local.embedded import EmbeddedPostgres
from city_data.store.database import Database
from city_data.store.migrate import upgrade
from city_data_tests.docs import figures, metrics, sources, variables
from city_data_tests.docs.pages import Page, pages

_PART = re.compile(r"(?P<begin><!-- generated: (?P<name>[\w -]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL)
Parts = Mapping[str, Callable[[], str]]


def parts(database: Database) -> Parts:
    """Every generated part by its name. `database` has the schema and no months."""
    return {
        **variables.PARTS,
        **figures.PARTS,
        **sources.parts(),
        "metrics of the exporter": lambda: metrics.exporter_table(database),
        "metrics of the reader": metrics.reader_table,
    }


def names(page: Page) -> list[str]:
    """The names of a page's generated parts."""
    return [match["name"] for match in _PART.finditer(page.text)]


def renewed(page: Page, known: Parts) -> str:
    """The page's text with its generated parts as the code has them now. Raises KeyError for an unknown part."""
    return _PART.sub(lambda match: f"{match['begin']}\n{known[match['name']]()}\n\n{match['end']}", page.text)


def main() -> int:
    """Write the pages, and name those that changed."""
    with _empty_database() as database:
        known = parts(database)
        for page in pages():
            text = renewed(page, known)
            if text != page.text:
                page.path.write_text(text, encoding="utf-8")
                sys.stdout.write(f"written: {page}\n")
    return 0


@contextmanager
def _empty_database() -> Iterator[Database]:
    """The exporter's figures come from a database: a real one, which is there for some seconds."""
    with tempfile.TemporaryDirectory(prefix="city_data-docs-") as folder:
        server = EmbeddedPostgres(Path(folder), durable=False)
        server.start()
        server.create_database("docs")
        database = Database(server.url("docs"))
        try:
            upgrade(database)
            yield database
        finally:
            database.dispose()
            server.stop(keep=False)


if __name__ == "__main__":
    sys.exit(main())
