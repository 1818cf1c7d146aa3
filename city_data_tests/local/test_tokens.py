"""Tokens of one machine: the key is created once, is private, and the reader accepts tokens signed with it."""

from __future__ import annotations

import io
import json
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import jwt
import pytest
from rich.console import Console
from typer.testing import CliRunner

from api.settings import Settings
from city_data.cities import load_registry
from city_data.cli.commands import app
from city_data.cli.progress import print_ready
from city_data.local import tokens
from city_data.local.ports import Ports
from city_data.pipeline.feeds import enabled_feeds
from city_data.window import Month
from city_data_tests.api.conftest import TENANT, MakeClient, make_client  # noqa: F401  a fixture of the reader's tests

CITIES = "/api/v1/external/cities"
WEATHER = f"/api/v1/tenants/{TENANT}/external/historical-weather"
DAY = {"latitude": "40.42", "longitude": "-3.7", "start_date": "2025-10-01", "end_date": "2025-10-01"}


def test_token_of_the_command_is_accepted_by_the_reader(make_client: MakeClient, tmp_path: Path) -> None:  # noqa: F811
    settings = tokens.settings(tmp_path, {"AUTH_MODE": "jwt"})
    client = make_client(auth_mode="jwt", **{name.lower(): value for name, value in settings.items()})
    assert client.get(CITIES).status_code == 401
    printed = CliRunner().invoke(app, ["token", "--home", str(tmp_path), "--tenant", TENANT])
    assert printed.exit_code == 0, printed.output
    own = {"Authorization": f"Bearer {printed.stdout.strip()}"}
    assert client.get(WEATHER, params=DAY, headers=own).status_code == 200
    other = WEATHER.replace(TENANT, "00000000-0000-4000-8000-00000000000b")
    assert client.get(other, params=DAY, headers=own).status_code == 404


def test_key_is_created_once_with_mode_0600(tmp_path: Path) -> None:
    first = tokens.issue(tmp_path, UUID(TENANT), "a", timedelta(hours=1))
    key, key_set = tmp_path / "auth" / "key.pem", tmp_path / "auth" / "jwks.json"
    key_before = key.read_bytes()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert "d" not in json.loads(key_set.read_text())["keys"][0]  # the private exponent
    assert tokens.issue(tmp_path, UUID(TENANT), "b", timedelta(hours=1)) != first
    assert key.read_bytes() == key_before


def test_two_first_tokens_at_once_are_of_one_key(tmp_path: Path) -> None:
    barrier = threading.Barrier(4)

    def first_token(subject: str) -> str:
        barrier.wait()
        return tokens.issue(tmp_path, UUID(TENANT), subject, timedelta(hours=1))

    with ThreadPoolExecutor(4) as pool:
        issued = list(pool.map(first_token, "abcd"))
    (published,) = jwt.PyJWKSet.from_dict(json.loads((tmp_path / "auth" / "jwks.json").read_text())).keys
    for token, subject in zip(issued, "abcd", strict=True):
        assert jwt.decode(token, published, ["RS256"], audience=tokens.AUDIENCE)["sub"] == subject


@pytest.mark.parametrize("variables", [{}, {"AUTH_MODE": "none"}])
def test_authentication_is_off_unless_jwt_is_set(tmp_path: Path, variables: dict[str, str]) -> None:
    assert tokens.settings(tmp_path, variables) == {"AUTH_MODE": "none"}
    assert not (tmp_path / "auth").exists()


def test_configured_issuer_is_not_replaced(tmp_path: Path) -> None:
    assert tokens.settings(tmp_path, {"AUTH_MODE": "jwt", "AUTH_JWT_ISSUER": "https://mine.test"}) == {}


def test_reader_prefers_its_own_database_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_MODE", "none")
    monkeypatch.setenv("CITY_DATA_DATABASE_URL", "postgresql://writer@127.0.0.1/x")
    assert "writer" in Settings().database_url.get_secret_value()
    monkeypatch.setenv("API_DATABASE_URL", "")
    assert "writer" in Settings().database_url.get_secret_value()
    monkeypatch.setenv("API_DATABASE_URL", "postgresql://reader@127.0.0.1/x")
    assert "reader" in Settings().database_url.get_secret_value()
    assert "reader" not in repr(Settings())


@pytest.mark.parametrize(
    ("mode", "expected"), [("none", "/docs"), ("jwt", '-H "Authorization: Bearer $(city-data token)"')]
)
def test_printed_example_matches_the_readers_authentication(
    monkeypatch: pytest.MonkeyPatch, mode: str, expected: str
) -> None:
    monkeypatch.setenv("AUTH_MODE", mode)
    console = Console(file=io.StringIO(), width=400)
    feed = enabled_feeds(load_registry())[0]
    print_ready(console, Ports(api=1, ui=2), "demo", feed, Month(2026, 10), 1.0)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert expected in printed
    assert ("/docs" in printed) == (mode == "none")
