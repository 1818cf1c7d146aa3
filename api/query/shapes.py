"""Representations of equal records. Belongs here: their parts, which are format, shape and encoding, and their tags.

Does not: a request's parameters and their errors (representation.py), or shapes (city_data/store/record_tables.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from api.query.formats import Format
from city_data.store.encodings import Encoding
from city_data.store.record_tables import Shape

ResolutionChoice = Literal["native", "hourly", "daily"]
Include = Literal["raw"]
MAX_COLUMNS_TEXT = 1_000


@dataclass(frozen=True)
class Representation:
    """Everything a client can choose about the form of equal records. `tag` is empty for uncompressed JSON."""

    format: Format
    shape: Shape
    encoding: Encoding

    @cached_property
    def tag(self) -> str:
        shape = "" if self.shape.is_default else self.shape.tag
        encoding = "" if self.encoding == "identity" else self.encoding
        return "".join(f"-{part}" for part in (self.format.tag, shape, encoding) if part)
