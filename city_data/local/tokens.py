"""Access tokens for one machine: the home's signing key, its public key set, and tokens signed with it.

Belongs here: creating them. Does not: verification (api/auth/tokens.py). A deployment uses its own issuer instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from city_data.errors import CityDataError
from city_data.local.home import FileLock, write_private

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

ISSUER, AUDIENCE, KEY_ID = "city-data-local", "city-data", "local"
_BITS = 2048


class UnusableKey(CityDataError):
    """The home's key file is not a usable RSA private key."""


def settings(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """The reader's AUTH_ variables: no authentication unless AUTH_MODE=jwt.

    With AUTH_MODE=jwt and without AUTH_JWT_ISSUER, the home's own key signs.
    """
    if variables.get("AUTH_MODE", "none") != "jwt":
        return {"AUTH_MODE": "none"}
    if variables.get("AUTH_JWT_ISSUER"):
        return {}
    _key(folder)
    return {"AUTH_JWT_ISSUER": ISSUER, "AUTH_JWT_AUDIENCE": AUDIENCE, "AUTH_JWKS_FILE": str(_key_set(folder))}


def issue(folder: Path, tenant: UUID, subject: str, good_for: timedelta) -> str:
    """A token signed with the home's key, which is created if missing."""
    import jwt

    now = datetime.now(UTC)
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "tenant_id": str(tenant), "iat": now}
    return jwt.encode(claims | {"exp": now + good_for}, _key(folder), "RS256", {"kid": KEY_ID})


def _key(folder: Path) -> RSAPrivateKey:
    """One key for the home, whichever of two commands creates it."""
    file = folder / "auth" / "key.pem"
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(file.with_name("key.lock"))
    lock.acquire(wait=True)
    try:
        return _stored(file) if file.exists() else _created(folder, file)
    finally:
        lock.release()


def _stored(file: Path) -> RSAPrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    try:
        stored = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it is encrypted
        raise UnusableKey(f"{file} cannot be read as a key: {error}; delete it, and a new one is created") from error
    if not isinstance(stored, rsa.RSAPrivateKey):
        raise UnusableKey(f"{file} is not an RSA key; delete it, and a new one is created")
    return stored


def _created(folder: Path, file: Path) -> RSAPrivateKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from jwt.algorithms import RSAAlgorithm

    key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    public = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    public_set = {"keys": [{**public, "kid": KEY_ID, "use": "sig", "alg": "RS256"}]}
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(_key_set(folder), json.dumps(public_set))
    write_private(file, pem.decode())  # last: a start killed before this line creates both files again
    return key


def _key_set(folder: Path) -> Path:
    return folder / "auth" / "jwks.json"
