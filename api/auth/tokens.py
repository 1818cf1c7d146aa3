"""Callers by their bearer tokens. Belongs here: the issuer's keys, verifying a JWT (RFC 7519), remembering it.

Does not: HTTP's answers to a bad token (gate.py). RS256 alone is accepted: an algorithm of the token's own choice lets
`none`, or a public key used as an HMAC secret, pass. A key set is RFC 7517's.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.exceptions import InvalidSubjectError

from api.auth.upstream import read_capped
from api.observability import REQUESTS_LOG
from city_data.errors import CityDataError
from city_data.lru_cache import LruCache

ALGORITHM = "RS256"
LEEWAY_S = 30
MAX_TOKEN_BYTES = 8 * 1024
MIN_KEY_BITS = 2048
BETWEEN_READS_S, MAX_AGE_S = 10.0, 600.0
# The keys of an issuer that cannot be reached for a day are no longer trusted: one may have been withdrawn.
MAX_TRUSTED_S = 24 * 3600.0
_MAX_KEY_SET_BYTES = 1024 * 1024
_READ_TIMEOUT_S = 5.0
_REMEMBERED = 10_000
_REQUIRED = ["exp", "aud", "iss", "sub"]


class InvalidToken(CityDataError):
    """The token is invalid. `reason` is one of a few words, fit for a metric's label."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class KeysUnavailable(CityDataError):
    """The issuer's keys have not been read yet and cannot be read now."""


@dataclass(frozen=True)
class Caller:
    """`tenant` is None for a token without one: it may read only what belongs to no tenant."""

    subject: str
    tenant: UUID | None


class Keys:
    """The issuer's keys: read when first needed, every MAX_AGE_S, and for a key id that is not known.

    Reads are at least BETWEEN_READS_S apart. While the next set cannot be read the last good one stays, for
    MAX_TRUSTED_S at most. `generation` grows whenever the set changes.
    """

    def __init__(self, read: Callable[[], Awaitable[bytes]], clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read, clock
        self._document: dict[str, Any] = {}
        self._keys: dict[str | None, RSAPublicKey] = {}
        self._tried_at: float | None = None
        self._read_at: float | None = None
        self._reading: asyncio.Task[None] | None = None
        self.generation = 0

    async def find(self, key_id: str | None) -> RSAPublicKey:
        """The key of this id; a token without one means the only key. Raises InvalidToken, KeysUnavailable."""
        may_read = self._tried_at is None or self._is_reading() or self._older_than(BETWEEN_READS_S)
        if may_read and not self._has(key_id):
            await asyncio.shield(self._start_reading())
        self._drop_old_keys()
        if not self._keys:
            raise KeysUnavailable("The keys for verifying tokens cannot be read at the moment; try again soon.")
        if not self._has(key_id):
            raise InvalidToken("key", "The token is signed by a key that its issuer does not publish.")
        return self._keys[key_id] if key_id is not None else next(iter(self._keys.values()))

    def keep_fresh(self) -> None:
        """Start reading in the background if the set is older than MAX_AGE_S, so that withdrawn keys end."""
        if self._older_than(MAX_AGE_S):
            self._start_reading()
        self._drop_old_keys()

    def _drop_old_keys(self) -> None:
        """Drop the keys if they were last read more than MAX_TRUSTED_S ago."""
        if self._read_at is not None and self._clock() - self._read_at > MAX_TRUSTED_S:
            REQUESTS_LOG.error("keys_expired", keys=len(self._keys))
            self._document, self._keys, self._read_at = {}, {}, None
            self.generation += 1

    def _has(self, key_id: str | None) -> bool:
        return key_id in self._keys if key_id is not None else len(self._keys) == 1

    def _older_than(self, seconds: float) -> bool:
        return self._tried_at is not None and self._clock() - self._tried_at >= seconds

    def _start_reading(self) -> asyncio.Task[None]:
        if self._reading is None or self._reading.done():
            self._tried_at = self._clock()
            self._reading = asyncio.get_running_loop().create_task(self._replace())
        return self._reading

    def _is_reading(self) -> bool:
        return self._reading is not None and not self._reading.done()

    async def _replace(self) -> None:
        try:
            document = json.loads(await self._read())
            keys = _usable(document)
        except (OSError, httpx.HTTPError, ValueError, RecursionError) as error:
            REQUESTS_LOG.warning("keys_unreadable", error=type(error).__name__, kept=len(self._keys))
            return
        self._read_at = self._clock()
        if document != self._document:
            self._document, self._keys = document, keys
            self.generation += 1


class Tokens:
    """Checks tokens, and remembers those that passed until they expire or the issuer's keys change."""

    def __init__(
        self, keys: Keys, issuer: str, audience: str, tenant_claim: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._keys, self._issuer, self._audience, self._tenant_claim = keys, issuer, audience, tenant_claim
        self._clock = clock
        # By digest: nobody who can read this memory finds tokens in it.
        self._known: LruCache[bytes, tuple[Caller, float, int]] = LruCache(_REMEMBERED)

    async def caller(self, token: str) -> Caller:
        """Raises InvalidToken, KeysUnavailable."""
        digest = token_digest(token)
        known = self.remembered(digest)
        if known is not None:
            return known
        caller, expires = await self._verify(token)
        self._known.put(digest, (caller, expires + LEEWAY_S, self._keys.generation), 1)
        return caller

    def remembered(self, digest: bytes) -> Caller | None:
        """The caller of a token that was verified before and would be now."""
        self._keys.keep_fresh()
        known = self._known.get(digest)
        if known is None or known[1] <= self._clock() or known[2] != self._keys.generation:
            return None
        return known[0]

    async def _verify(self, token: str) -> tuple[Caller, float]:
        if len(token) > MAX_TOKEN_BYTES:
            raise InvalidToken("malformed", "The token is too long.")
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") != ALGORITHM:
                raise InvalidToken("algorithm", f"The token must be signed with {ALGORITHM}.")
            claims = jwt.decode(
                token,
                await self._keys.find(header.get("kid")),
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": _REQUIRED},
            )
        except jwt.InvalidTokenError as error:
            raise _invalid(error) from error
        # JSON nested a thousand deep; an exp of 1e999; half a character.
        except (RecursionError, OverflowError, UnicodeError) as error:
            raise InvalidToken("malformed", "The token is not a JWT.") from error
        return Caller(claims["sub"], self._tenant(claims)), _seconds(claims["exp"])

    def _tenant(self, claims: dict[str, Any]) -> UUID | None:
        tenant = claims.get(self._tenant_claim)
        if tenant is None:
            return None
        try:
            return UUID(tenant)
        except (ValueError, AttributeError, TypeError):
            raise InvalidToken("claims", f"The token's claim {self._tenant_claim} is not a UUID.") from None


def _seconds(exp: Any) -> float:
    """`exp` as a float. An integer of 400 digits passes the library's check, which compares integers."""
    try:
        return float(exp)
    except (OverflowError, TypeError, ValueError):
        raise InvalidToken("claims", "The token's claim exp is not a time.") from None


def token_digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def keys_from_file(path: Path) -> Keys:
    return Keys(lambda: anyio.Path(path).read_bytes())


def keys_from_url(url: str) -> Keys:
    return Keys(lambda: _download(url))


async def _download(url: str) -> bytes:
    """No redirects: the address is the operator's word for whom to trust."""
    async with httpx.AsyncClient(timeout=_READ_TIMEOUT_S) as client, client.stream("GET", url) as response:
        return await read_capped(response, _MAX_KEY_SET_BYTES)


def _usable(document: Any) -> dict[str | None, RSAPublicKey]:
    """The set's RSA signing keys by id; an entry of another kind or shape is passed over, as its issuer may know why
    it is there (RFC 7517, 5). Raises ValueError where no key is left.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    usable: dict[str | None, RSAPublicKey] = {}
    for entry in entries if isinstance(entries, list) else []:
        key_id = entry.get("kid") if isinstance(entry, dict) else None
        if (key := _signing_key(entry)) is not None and (key_id is None or isinstance(key_id, str)):
            usable[key_id] = key
    if not usable:
        raise ValueError(f"no RSA signing key of {MIN_KEY_BITS} bits or more in the key set")
    return usable


def _signing_key(entry: Any) -> RSAPublicKey | None:
    """The entry's key, where it is one that tokens may be signed with."""
    if not isinstance(entry, dict) or entry.get("kty") != "RSA":
        return None
    if entry.get("use", "sig") != "sig" or entry.get("alg", ALGORITHM) != ALGORITHM:
        return None
    try:
        key = jwt.PyJWK(entry, ALGORITHM).key
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, OverflowError):  # whatever a wrong n or e brings
        return None
    return key if isinstance(key, RSAPublicKey) and key.key_size >= MIN_KEY_BITS else None


_REASONS: tuple[tuple[type[jwt.InvalidTokenError], str, str], ...] = (
    (jwt.ExpiredSignatureError, "expired", "The token has expired."),
    (jwt.ImmatureSignatureError, "claims", "The token is not valid yet."),
    (jwt.MissingRequiredClaimError, "claims", f"The token must have the claims {', '.join(_REQUIRED)}."),
    (jwt.InvalidAudienceError, "audience", "The token is for another audience."),
    (jwt.InvalidIssuerError, "issuer", "The token is from another issuer."),
    (jwt.InvalidAlgorithmError, "algorithm", f"The token must be signed with {ALGORITHM}."),
    (jwt.InvalidSignatureError, "signature", "The token's signature is wrong."),
    (InvalidSubjectError, "claims", "The token's claim sub must be a text."),
)


def _invalid(error: jwt.InvalidTokenError) -> InvalidToken:
    for kind, reason, text in _REASONS:
        if isinstance(error, kind):
            return InvalidToken(reason, text)
    return InvalidToken("malformed", "The token is not a JWT.")
