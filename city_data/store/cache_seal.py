"""Keyed digests of cached segments, which only the platform and the reader can make.

Belongs here: the key, sealing and checking. Does not: the sealed values and their storage (cache.py).

A writer to Redis could otherwise replace a segment, and the reader would serve it under a genuine ETag. The key lies in
the database: the platform and the reader can read it there, and need no setting of their own. A seal also names the
version that a value is of, load and content included: bytes of a month that was dropped and loaded anew under the same
number do not pass. AES-GMAC (NIST SP 800-38D), as processors have instructions for it.
"""

from __future__ import annotations

import os

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from city_data.store.database import Database
from city_data.store.schema import CACHE_KEY

_NONCE_BYTES = 12  # random, as no two writers could share a counter: fit for 2^32 seals of one key
SEAL_BYTES = _NONCE_BYTES + 16


class Seal:
    """Seals under one key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def make(self, name: str, identity: str, value: bytes) -> bytes:
        """SEAL_BYTES that prove that a holder of the key stored `value` under `name` for `identity`."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, b"", _sealed(name, identity, value))

    def is_good(self, seal: bytes, name: str, identity: str, value: bytes | memoryview) -> bool:
        try:
            self._cipher.decrypt(seal[:_NONCE_BYTES], seal[_NONCE_BYTES:], _sealed(name, identity, value))
        except InvalidTag:
            return False
        return True


def read_seal(database: Database) -> Seal:
    """The platform's seal. Raises DatabaseUnavailable."""
    with database.read() as connection:
        key: bytes = connection.execute(sa.select(CACHE_KEY.c.key)).scalar_one()
    return Seal(bytes(key))


def _sealed(name: str, identity: str, value: bytes | memoryview) -> bytes:
    return b"\n".join((name.encode(), identity.encode(), value))
