"""JSON documents as sources send them: any way in which one is none ends as ValueError.

Belongs here: bytes or text to plain values. Does not: what a document means, or which outcome a broken one is.
"""

from __future__ import annotations

import json
from typing import Any

_MARK = "\ufeff"


def read_json(body: bytes | str, otherwise: str | None = None) -> Any:
    """The document, with or without a byte order mark; bytes are UTF-8, or in the encoding `otherwise` where they are
    not.

    Raises ValueError, also for nesting that exhausts the stack, for bytes in no such encoding, and for an object in
    which one key has two values, of which a reader would take one without a word (RFC 8259, 4).
    """
    text = body if isinstance(body, str) else _decoded(body, otherwise)
    try:
        return json.loads(text.removeprefix(_MARK), object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def begins_json(text: str, opening: str = "[{") -> bool:
    """Whether the text begins as a document does: a quick look before it is stored."""
    return text.removeprefix(_MARK).removeprefix("ï»¿").lstrip()[:1] in tuple(opening)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if (
        len(mapping) < len(pairs)
        and (twice := next((key for key, value in pairs if mapping[key] != value), None)) is not None
    ):
        raise ValueError(f"the key {twice!r} has two values")
    return mapping


def _decoded(body: bytes, otherwise: str | None) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        if otherwise is None:
            raise
        return body.decode(otherwise)
