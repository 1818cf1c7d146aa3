"""A payload's bytes together with the name that they were archived under.

Belongs here: what an oracle is given. Does not: what any source's bytes mean.
"""

from __future__ import annotations


class Received(bytes):
    """Bytes as a source sent them. `name` is the file's: Valencia's polls tell the moment they were taken in it."""

    name: str

    @classmethod
    def of(cls, name: str, body: bytes) -> Received:
        made = cls(body)
        made.name = name
        return made
