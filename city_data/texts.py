"""Texts of a source made safe to store and to log.

Belongs here: what no log, terminal or database takes, such as NUL bytes and lone surrogates. Does not: reading values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def printable(text: str, most: int = 2_000) -> str:
    """`text` with every character that cannot be printed in its escaped form, and without what is beyond `most`."""
    cut = text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"
    return cut if cut.isprintable() else "".join(char if char.isprintable() else _escaped(char) for char in cut)


def all_printable(value: Any) -> Any:
    """Plain values (texts, mappings and lists of them) with every text and key `printable`."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {all_printable(key): all_printable(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [all_printable(item) for item in value]
    return value


def _escaped(char: str) -> str:
    return ascii(char)[1:-1]
