"""In which form the records come. Belongs here: the parts of a form and the fields that records then have.

Does not: what a caller asks for and its refusal (representation.py), or making the records (bodies/tables.py).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from api.bodies.encodings import Encoding
from api.query.formats import Format
from city_data.datasets import Dataset
from city_data.store.segments import record_names

RAW = "raw_data"
HOURS = "hours"
AskedResolution = Literal["native", "hourly", "daily"]
Include = Literal["raw"]
MAX_COLUMNS_TEXT = 1_000


@dataclass(frozen=True)
class Shape:
    """`daily` are days made of hours; `columns` None are all; `raw` adds what the source said beside the values."""

    daily: bool = False
    columns: tuple[str, ...] | None = None
    raw: bool = False

    @cached_property
    def is_default(self) -> bool:
        return self == Shape()

    @cached_property
    def tag(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]

    def fields(self, dataset: Dataset) -> list[str]:
        names = known_names(dataset, self.daily)
        if self.columns is not None:
            names = [name for name in names if name == "date" or name in self.columns]
        return [*names, RAW] if self.raw else names


@dataclass(frozen=True)
class Representation:
    """All that a client may choose of how the same records come. `tag` is empty for plain JSON records."""

    format: Format
    shape: Shape
    encoding: Encoding

    @cached_property
    def tag(self) -> str:
        parts: list[str] = [self.format.name] if self.format.name != "json" else []
        parts += [] if self.shape.is_default else [self.shape.tag]
        parts += [self.encoding] if self.encoding != "identity" else []
        return "".join(f"-{part}" for part in parts)


def known_names(dataset: Dataset, daily: bool) -> list[str]:
    return [*record_names(dataset), HOURS] if daily else record_names(dataset)
