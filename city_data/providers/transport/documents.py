"""A strict reader of sources' JSON documents: every malformed one raises ValueError.

Belongs here: bytes or text to plain values. Does not: the meaning of a document, or the outcome of a broken one.
"""

from __future__ import annotations

import json
from typing import Any

_MARK = "\ufeff"


def read_json(body: bytes | str, otherwise: str | None = None) -> Any:
    """The document, with or without a byte order mark; bytes are UTF-8, or else in the encoding `otherwise`.

    Raises ValueError, also for nesting that exhausts the stack, for bytes in another encoding, and for an object in
    which one key has two values, of which `json` would silently take the last (RFC 8259, 4).
    """
    text = body if isinstance(body, str) else _decoded(body, otherwise)
    try:
        return json.loads(text.removeprefix(_MARK), object_pairs_hook=with_distinct_keys)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def begins_json(text: str, opening: str = "[{") -> bool:
    """Whether the text begins like a JSON document: a quick check before it is stored."""
    return text.removeprefix(_MARK).removeprefix("ï»¿").lstrip()[:1] in tuple(opening)


def with_distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of its pairs, as `json` asks for it. Raises ValueError for a key with two values."""
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
