"""Representations of equal records. Belongs here: what one consists of, and its part of an ETag.

Does not: records in a shape (record_tables.py), writing a format (record_formats.py), or compression (encodings.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from city_data.store.encodings import Encoding
from city_data.store.record_formats import FormatName
from city_data.store.record_tables import Shape

# Change a format's tag when the bytes of equal records change.
_TAGS: dict[FormatName, str] = {"json": "", "ndjson": "ndjson", "csv": "csv", "arrow": "arrow2", "parquet": "parquet2"}


@dataclass(frozen=True)
class Representation:
    """Everything a client can choose about the form of equal records. `tag` is empty for uncompressed JSON."""

    format: FormatName
    shape: Shape
    encoding: Encoding

    @property
    def is_compressed(self) -> bool:
        """Whether each month is compressed: by the encoding, or by the format itself."""
        return self.encoding != "identity" or self.format == "arrow"

    @property
    def is_from_segments(self) -> bool:
        """Whether months are made of the stored segments, and not of frames, which takes several times as long."""
        return self.shape.is_default and self.format in ("json", "ndjson")

    @cached_property
    def tag(self) -> str:
        shape = "" if self.shape.is_default else self.shape.tag
        encoding = "" if self.encoding == "identity" else self.encoding
        return "".join(f"-{part}" for part in (_TAGS[self.format], shape, encoding) if part)
