"""What a client takes, by its Accept headers. Belongs here: quality values (RFC 9110, 12.4.2) and the choice by them.

Does not: which formats and encodings there are (formats.py, bodies/encodings.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T", bound=str)


def qualities(headers: Iterable[str]) -> dict[str, float]:
    """Every name in a list header with its quality, 0..1; what cannot be read counts as refused."""
    found: dict[str, float] = {}
    for item in ",".join(headers).split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        if name:
            found[name] = next((_number(text[2:]) for text in parameters if text.startswith("q=")), 1.0)
    return found


def best(offered: Mapping[T, float]) -> T | None:
    """The name of the highest quality, the first of equals; None where all are refused."""
    name = max(offered, key=lambda one: offered[one], default=None)
    return name if name is not None and offered[name] > 0 else None


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 <= value <= 1 else 0.0
