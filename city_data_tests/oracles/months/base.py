"""What the invented months of the traffic sources share: their forms, the zone, its moments, a table of cells.

Belongs here: what is no one source's, and finding a source's module. Does not: any source's rows.

A module is named after its provider. Its `FORMS` are months by the name of the form that they come in. A source whose
months are rows of text has a `TABLE`, for the relations of traffic; another source has relations of its own.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from types import ModuleType
from zoneinfo import ZoneInfo

from city_data.providers import discover
from city_data_tests.oracles.received import Received

ZONE = ZoneInfo("Europe/Madrid")
Table = list[list[str]]


@dataclass(frozen=True)
class Form:
    """Invented months: the payloads of the first days of a year's month. `examples` bounds a test's time. Of sparse
    ones some have no value."""

    payloads: Callable[[Random, int, int, int], list[Received]]
    examples: int = 5
    is_sparse: bool = False


@dataclass(frozen=True)
class TextTable:
    """A month as rows of cells: how they are invented, and written as the file of a year's month; the mark between
    cells, the numbers of columns that are numbers, and files that a month needs beside."""

    rows: Callable[[Random, int, int, int], Table]
    write: Callable[[Table, int, int], Received]
    separator: str
    numbers: tuple[int, ...]
    beside: tuple[Received, ...] = ()


def traffic_providers() -> list[str]:
    return [name for name, provider in discover().items() if provider.capabilities.dataset == "traffic"]


def forms() -> dict[str, tuple[str, Form]]:
    """Every form of every traffic source by its label, with the provider."""
    return {
        f"{provider} {form}": (provider, months)
        for provider in traffic_providers()
        for form, months in _forms_of(provider).items()
    }


def tables() -> dict[str, TextTable]:
    """By provider."""
    found = {provider: getattr(_module(provider), "TABLE", None) for provider in traffic_providers()}
    return {provider: table for provider, table in found.items() if table is not None}


def _forms_of(provider: str) -> Mapping[str, Form]:
    made: Mapping[str, Form] = _module(provider).FORMS
    return made


def _module(provider: str) -> ModuleType:
    return importlib.import_module(f"city_data_tests.oracles.months.{provider}")


def moments(year: int, month: int, days: int, minutes: int) -> list[datetime]:
    """Every `minutes` of the month's first days, in UTC."""
    start = datetime(year, month, 1, tzinfo=ZONE).astimezone(UTC)
    end = (datetime(year, month, days, tzinfo=ZONE) + timedelta(days=1)).astimezone(UTC)
    return [start + timedelta(minutes=minutes * n) for n in range(int((end - start) / timedelta(minutes=minutes)))]
