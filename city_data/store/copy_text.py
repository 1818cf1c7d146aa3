"""Rows in the text format of PostgreSQL's COPY, https://www.postgresql.org/docs/18/sql-copy.html.

Belongs here: the spelling of values. Does not: which rows are copied (months.py).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson


def copy_texts(column: list[Any]) -> list[str]:
    r"""A column's values; NULL is \N."""
    return [r"\N" if value is None else _WRITERS[type(value)](value) for value in column]


def _json(value: dict[str, Any]) -> str:
    return escaped(orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode())


@lru_cache(maxsize=4096)
def escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n").replace("\r", r"\r")


_WRITERS: dict[type, Callable[[Any], str]] = {
    **dict.fromkeys((float, int, bool), repr),
    datetime: datetime.isoformat,
    str: escaped,
    dict: _json,
}
