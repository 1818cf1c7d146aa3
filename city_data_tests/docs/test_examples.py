"""Requests, Python and SQL on pages are run: against a reader of a month from the sandbox, and a database."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import httpx
import psycopg
import pytest

from api.app import create_app
from api.settings import Settings
from city_data.datasets import DATASETS
from city_data.store.database import Database
from city_data_tests.api.sockets import serving
from city_data_tests.docs.pages import Fence, fences, pages
from city_data_tests.world import World, shipped

SHOWN = "http://127.0.0.1:8000"
ELLIPSIS = "..."


@pytest.fixture
def reader(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The address of a reader of Madrid's October, as a demo has it, and of Lyon without any month."""
    world.write_cities([entry for entry in shipped() if entry["city_id"] in ("madrid", "lyon")])
    done = [one for dataset in DATASETS for one in world.load(dataset, "2026-10")]
    assert [one.error for one in done] == [None] * len(DATASETS)
    monkeypatch.setenv("CITY_DATA_CLIENT_CACHE", str(tmp_path / "answers"))
    settings = Settings.model_validate({"database_url": world.database_url, "auth_mode": "none"})
    with serving(create_app(settings), lifespan=True) as port:
        yield f"http://127.0.0.1:{port}"


def requests() -> list[tuple[Fence, list[str], Fence | None]]:
    """Every curl command: its block, its words, and the answer that the next block shows."""
    found = []
    for page in pages():
        for fence, following in zip_longest(page.fences, page.fences[1:]):
            commands = [shlex.split(line) for line in fence.text.splitlines() if line.startswith("curl ")]
            answer = following if following and following.mark == "answer" else None
            found += [(fence, command, answer) for command in commands if fence.kind == "sh"]
    return found


def ask(words: list[str], url: str) -> httpx.Response:
    """The request that curl would send: its address and its headers, which are all that pages use."""
    headers, addresses, rest = dict[str, str](), list[str](), iter(words[1:])
    for word in rest:
        if word == "--header":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        else:
            assert word.startswith(f"{SHOWN}/"), f"{word}: only --header and an address of {SHOWN} are known"
            addresses.append(word.replace(SHOWN, url))
    (address,) = addresses
    return httpx.get(address, headers=headers)


def test_requests_return_the_response_shown(reader: str) -> None:
    shown = requests()
    assert sum(answer is not None for _, _, answer in shown) >= 2
    for fence, words, answer in shown:
        response = ask(words, reader)
        assert response.status_code == 200, f"{fence}: {response.text}"
        if answer is not None:
            begins, ellipsis, _ = answer.text.partition(ELLIPSIS)
            assert ellipsis, f"{answer}: an answer is shown by its beginning"
            assert response.text.startswith(begins.rstrip("\n")), f"{answer}: {response.text[: len(begins) + 80]}"


def test_every_response_shown_follows_its_request() -> None:
    assert [f for f in fences("json") if f.mark == "answer"] == [answer for *_, answer in requests() if answer]


def test_python_runs(reader: str) -> None:
    shown = [fence for fence in fences("python") if not fence.file]
    assert len(shown) >= 3
    for fence in shown:
        exec(compile(fence.text.replace(SHOWN, reader), str(fence), "exec"), {})


def test_sql_runs(database: Database, database_url: str) -> None:
    shown = fences("sql")
    assert len(shown) >= 2
    for fence in shown:
        with psycopg.connect(database_url) as connection:
            connection.execute(fence.text.encode())
            connection.rollback()  # roles are the whole server's
