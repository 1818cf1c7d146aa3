"""Relations of the traffic sources: a month's rows in another spelling, order or company, with what must come of it.

Belongs here: changes of whole tables of rows, by name. Does not: the tables (oracles/months/), or what a
month's right values are (oracles).
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from random import Random

from city_data_tests.oracles.months.base import Table

Rows = Callable[[Random, Table], Table]
Bytes = Callable[[bytes], bytes]


def shuffled(random: Random, rows: Table) -> Table:
    return random.sample(rows, len(rows))


def doubled(random: Random, rows: Table) -> Table:
    """Every row once more, somewhere."""
    return shuffled(random, rows + rows)


def partly_doubled(random: Random, rows: Table) -> Table:
    return rows + random.sample(rows, len(rows) // 10)


# Changes of rows that tell nothing new.
SAME_ROWS: dict[str, Rows] = {"shuffled": shuffled, "doubled": doubled, "partly doubled": partly_doubled}


def quoted(separator: str) -> Bytes:
    mark = separator.encode()
    return lambda body: b"\n".join(
        mark.join(b'"%s"' % cell for cell in line.split(mark)) if line else line for line in body.split(b"\n")
    )


def with_column(separator: str) -> Bytes:
    """A column of its own at the front, which nobody knows."""
    mark = separator.encode()
    return lambda body: b"\n".join(b"nou" + mark + line if line else line for line in body.split(b"\n"))


def same_bytes(separator: str) -> dict[str, Bytes]:
    """Spellings of a CSV that tell nothing new."""
    return {
        "a byte order mark": lambda body: b"\xef\xbb\xbf" + body,
        "CRLF": lambda body: body.replace(b"\n", b"\r\n"),
        "no last line end": lambda body: body.rstrip(b"\n"),
        "quotes": quoted(separator),
        "an unknown column": with_column(separator),
        "capitals in the header": lambda body: body[: body.index(b"\n")].upper() + body[body.index(b"\n") :],
    }


# Other ways to write whole numbers: equal values, or a month that is refused.
OTHER_NUMBERS: dict[str, Callable[[str], str]] = {
    "a decimal zero": "{}.0".format,
    "a decimal comma": "{},0".format,
    "a thousands point": lambda text: f"{int(text):,}".replace(",", "."),
    "a plus": "+{}".format,
    "leading zeros": "00{}".format,
    "blanks": " {} ".format,
    "an exponent": "{}e0".format,
}


def in_column(column: int, change: Callable[[str], str]) -> Rows:
    """One column's whole numbers written another way."""

    def changed(_: Random, rows: Table) -> Table:
        return [
            [change(cell) if place == column and cell.isdigit() else cell for place, cell in enumerate(row)]
            for row in rows
        ]

    return changed


def times_two(column: int) -> Rows:
    def changed(_: Random, rows: Table) -> Table:
        def twice(cell: str) -> str:
            return f"{float(cell) * 2:g}" if cell.replace(".", "", 1).isdigit() else cell

        return [[twice(cell) if place == column else cell for place, cell in enumerate(row)] for row in rows]

    return changed


def repacked(body: bytes, change: Bytes) -> bytes:
    """A ZIP with its first file changed."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        name = archive.namelist()[0]
        content = change(archive.read(name))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return packed.getvalue()
