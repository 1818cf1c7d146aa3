"""Extras of the installed package: which distributions each one names, and whether they are here.

Belongs here: reading the package's own metadata. Does not: which command needs which extra.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import wraps
from importlib.metadata import PackageNotFoundError, distribution, requires
from typing import ParamSpec, TypeVar

from city_data.errors import CityDataError

P = ParamSpec("P")
R = TypeVar("R")

PACKAGE = "city-data"
# Such as `pyjwt[crypto]>=2.10.1; extra == "reader"`.
_OF_AN_EXTRA = re.compile(r"([\w.-]+)(?:\[([^\]]*)\])?[^;]*;.*\bextra == ['\"]([\w-]+)['\"]")


class MissingExtra(CityDataError):
    """A part of the platform is not installed; the text says what to install."""


def require(extra: str) -> None:
    """Raises MissingExtra where a distribution of `extra` is not installed."""
    absent = sorted({name for name in distributions_of(extra) if not _is_installed(name)})
    if absent:
        others = f" and {len(absent) - 1} more are" if absent[1:] else " is"
        raise MissingExtra(f"{absent[0]}{others} not installed; run: pip install '{PACKAGE}[{extra}]'")


def needs(extra: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator: the function starts with `require(extra)`."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def checked(*arguments: P.args, **options: P.kwargs) -> R:
            require(extra)
            return function(*arguments, **options)

        return checked

    return decorate


def distributions_of(extra: str) -> Iterator[str]:
    """The distributions that `extra` names, by the extras that it includes too."""
    for requirement in requires(PACKAGE) or []:
        match = _OF_AN_EXTRA.match(requirement)
        if match is None or match[3] != extra:
            continue
        if match[1] == PACKAGE:
            for included in match[2].split(","):
                yield from distributions_of(included.strip())
        else:
            yield match[1]


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
