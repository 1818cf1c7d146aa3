"""Content negotiation. Belongs here: quality values (RFC 9110, 12.4.2), the choice by quality, and that of an encoding.

Does not: the choice of a format (formats.py), or compression (city_data/store/encodings.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from starlette.datastructures import Headers

from city_data.store.encodings import Encoding

T = TypeVar("T", bound=str)
# Less than any quality that a client can send: identity is chosen where no other encoding is acceptable.
_UNLISTED = 0.0001


def qualities(headers: Iterable[str]) -> dict[str, float]:
    """Every name in a list header with its quality, 0..1; an unreadable quality counts as 0."""
    by_name: dict[str, float] = {}
    for item in ",".join(headers).split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        if name:
            by_name[name] = next((_number(text[2:]) for text in parameters if text.startswith("q=")), 1.0)
    return by_name


def best(offered: Mapping[T, float]) -> T | None:
    """The name with the highest quality, the first of equals; None where every quality is 0."""
    name = max(offered, key=lambda one: offered[one], default=None)
    return name if name is not None and offered[name] > 0 else None


def encoding_for(headers: Headers, offered: Sequence[Encoding] = ("zstd", "gzip")) -> Encoding:
    """The offered encoding with the highest quality (RFC 9110, 12.5.3), the first of equals; else identity."""
    accepted = qualities(headers.getlist("accept-encoding"))
    others = accepted.get("*", 0.0)
    known: dict[Encoding, float] = {
        "zstd": accepted.get("zstd", 0.0),  # `*` does not match zstd: older clients send it and decode gzip only
        "gzip": accepted.get("gzip", accepted.get("x-gzip", others)),
    }
    plain: dict[Encoding, float] = {"identity": accepted.get("identity", others or _UNLISTED)}
    return best({one: known[one] for one in offered} | plain) or "identity"


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 <= value <= 1 else 0.0
