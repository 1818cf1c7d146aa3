"""Tokens for one machine. Belongs here: a key of the home's own, the key set that the reader checks with, a token.

Does not: checking one (api/auth/tokens.py). A deployment has an issuer of its own, and nothing here is used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from city_data.errors import CityDataError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

ISSUER, AUDIENCE, KEY_ID = "city-data-local", "city-data", "local"
_BITS = 2048


class UnusableKey(CityDataError):
    """The home's key file holds something else."""


def settings(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """The reader's AUTH_ variables: open to this machine alone, unless `variables` ask for tokens.

    With AUTH_MODE=jwt and no issuer named, the home's own key is the issuer.
    """
    if variables.get("AUTH_MODE", "none") != "jwt":
        return {"AUTH_MODE": "none"}
    if variables.get("AUTH_JWT_ISSUER"):
        return {}
    _key(folder)
    return {"AUTH_JWT_ISSUER": ISSUER, "AUTH_JWT_AUDIENCE": AUDIENCE, "AUTH_JWKS_FILE": str(_key_set(folder))}


def issue(folder: Path, tenant: UUID, subject: str, good_for: timedelta) -> str:
    """A token signed with the home's key, which is made where there is none."""
    import jwt

    now = datetime.now(UTC)
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "tenant_id": str(tenant), "iat": now}
    return jwt.encode(claims | {"exp": now + good_for}, _key(folder), "RS256", {"kid": KEY_ID})


def _key(folder: Path) -> RSAPrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from jwt.algorithms import RSAAlgorithm

    file = folder / "auth" / "key.pem"
    if file.exists():
        try:
            held = serialization.load_pem_private_key(file.read_bytes(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it is locked with a password
            raise UnusableKey(f"{file} cannot be read as a key: {error}; delete it, and another is made") from error
        if not isinstance(held, rsa.RSAPrivateKey):
            raise UnusableKey(f"{file} is not an RSA key; delete it, and another is made")
        return held
    key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    public = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    _key_set(folder).write_text(json.dumps({"keys": [{**public, "kid": KEY_ID, "use": "sig", "alg": "RS256"}]}))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    # Last, and never readable to others for a moment: a start that was killed before makes both anew.
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:  # noqa: PTH123
        out.write(pem)
    return key


def _key_set(folder: Path) -> Path:
    return folder / "auth" / "jwks.json"
