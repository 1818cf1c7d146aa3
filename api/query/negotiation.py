"""What a client takes, by its Accept headers. Belongs here: quality values (RFC 9110, 12.4.2), and the choice by
them, as of an encoding.

Does not: the choice of a format (formats.py), or compressing (bodies/encodings.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeVar

from starlette.datastructures import Headers

Encoding = Literal["zstd", "gzip", "identity"]
T = TypeVar("T", bound=str)
# Less than any quality that a client can write: sent as it is where nothing else is taken.
_UNLISTED = 0.0001


def qualities(headers: Iterable[str]) -> dict[str, float]:
    """Every name in a list header with its quality, 0..1; what cannot be read counts as refused."""
    by_name: dict[str, float] = {}
    for item in ",".join(headers).split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        if name:
            by_name[name] = next((_number(text[2:]) for text in parameters if text.startswith("q=")), 1.0)
    return by_name


def best(offered: Mapping[T, float]) -> T | None:
    """The name of the highest quality, the first of equals; None where all are refused."""
    name = max(offered, key=lambda one: offered[one], default=None)
    return name if name is not None and offered[name] > 0 else None


def encoding_for(headers: Headers, offered: Sequence[Encoding] = ("zstd", "gzip")) -> Encoding:
    """Of those offered the one the client likes best (RFC 9110, 12.5.3), the first of equals; else as it is."""
    accepted = qualities(headers.getlist("accept-encoding"))
    others = accepted.get("*", 0.0)
    known: dict[Encoding, float] = {
        "zstd": accepted.get("zstd", 0.0),  # not by `*`, which older clients send that know gzip alone
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
