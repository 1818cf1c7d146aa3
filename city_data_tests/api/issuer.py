"""An issuer of tokens, and a small HTTP server with adjustable responses: a key set, or the tenant service."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

ISSUER, AUDIENCE = "https://issuer.test", "city-data"
TENANT_A = "00000000-0000-4000-8000-00000000000a"
TENANT_B = "00000000-0000-4000-8000-00000000000b"


class Issuer:
    """An issuer with one key; `key_id` None omits the id."""

    def __init__(self, key_id: str | None = "one", bits: int = 2048) -> None:
        self.key_id = key_id
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=bits)

    def public(self) -> dict[str, Any]:
        entry = {**RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True), "use": "sig", "alg": "RS256"}
        return entry | ({"kid": self.key_id} if self.key_id else {})

    def claims(self, **changes: Any) -> dict[str, Any]:
        """The claims of a valid token, changed; None omits a claim.

        Valid for longer than the slowest run of the suite: some tokens are made when a test module is imported."""
        expiry = int(time.time()) + 6 * 3600
        good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "trainer", "tenant_id": TENANT_A, "exp": expiry}
        return {name: value for name, value in (good | changes).items() if value is not None}

    def token(self, **changes: Any) -> str:
        return jwt.encode(self.claims(**changes), self.key, "RS256", {"kid": self.key_id} if self.key_id else None)


def key_set(*issuers: Issuer) -> bytes:
    return json.dumps({"keys": [issuer.public() for issuer in issuers]}).encode()


def locked_by(issuer: Issuer, folder: Path) -> dict[str, str]:
    """Settings of a reader that accepts the tokens of an issuer, whose keys are written to a file in `folder`."""
    keys = folder / "jwks.json"
    keys.write_bytes(key_set(issuer))
    audience = {"auth_jwt_issuer": ISSUER, "auth_jwt_audience": AUDIENCE}
    return {"auth_mode": "jwt", **audience, "auth_jwks_file": str(keys)}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class Service:
    """Answers every path with `status` and `body`, after `delay_s`; records the requests."""

    def __init__(self, url: str) -> None:
        self.url, self.status, self.body, self.delay_s = url, 200, b"{}", 0.0
        self.requests: list[tuple[str, str | None]] = []


@contextmanager
def service() -> Iterator[Service]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            running.requests.append((self.path, self.headers.get("Authorization")))
            time.sleep(running.delay_s)
            self.send_response(running.status)
            self.send_header("Content-Length", str(len(running.body)))
            self.end_headers()
            self.wfile.write(running.body)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        running = Service(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.05))
        thread.start()
        yield running
        server.shutdown()
        thread.join()
