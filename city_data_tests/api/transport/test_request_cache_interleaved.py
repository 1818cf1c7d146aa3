"""Whatever is asked in whatever order, a reader that remembers questions says what one says that remembers none."""

from __future__ import annotations

import random
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from city_data_tests.api.conftest import LOADED, Load, MakeClient
from city_data_tests.api.issuer import TENANT_B
from city_data_tests.api.locked import GOOD, LONG, NO_TIME, TOKEN, locked_reader, path, same
from city_data_tests.api.sockets import Connection, written

STEPS = 150
OTHERS = f"Bearer {GOOD.token(tenant_id=TENANT_B)}"


def questions(tag: str | None) -> list[bytes]:
    """Some are refused; `tag` is what a client holds."""
    known = {"If_None_Match": tag} if tag else {}
    encodings = ("gzip", "zstd", "identity", "gzip;q=0, *")
    asked = [written(path(), Authorization=TOKEN, Accept_Encoding=one, **known) for one in encodings]
    formats = ("csv", "ndjson", "arrow", "parquet", "xml")
    asked += [written(path(dataset="weather", format=one), Authorization=TOKEN) for one in formats]
    queries = (
        {"start_date": "2025-10-31", "end_date": "2025-11-01T05:30:00Z"},
        {"end_date": "2025-09-30"},
        {"latitude": "0"},
        {"columns": "date,traffic_volume"},
        {"columns": "nothing"},
        {"include": "raw"},
        {"resolution": "daily"},
        {"as_of": "2026-11-20"},
    )
    asked += [written(path(**one), Authorization=TOKEN, X_Request_Id=str(n)) for n, one in enumerate(queries)]
    asked += [written(path(), Authorization=one) for one in (OTHERS, f"{TOKEN}x", "Basic abc")]
    asked += [written(path(), Accept="text/csv", Authorization=TOKEN), written(path(), Authorization=TOKEN, TE="gzip")]
    return asked


@pytest.mark.parametrize("ledger_s", [NO_TIME, LONG])
def test_reader_with_and_without_the_cache_give_equal_answers(
    make_client: MakeClient, load: Load, tmp_path: Path, ledger_s: float
) -> None:
    for month in ("2025-10", "2025-11"):
        load("traffic", month)
        load("weather", month)
    chance, tag, loads = random.Random(ledger_s), None, 0
    with ExitStack() as stack:
        remembering = stack.enter_context(locked_reader(make_client, tmp_path, ledger_s))
        forgetful = stack.enter_context(locked_reader(make_client, tmp_path, ledger_s, remembers=False))
        pair = [stack.enter_context(Connection(reader.port)) for reader in (remembering, forgetful)]
        for _ in range(STEPS):
            if ledger_s == NO_TIME and chance.random() < 0.1:
                loads += 1
                load(chance.choice(["traffic", "weather"]), "2025-10", at=LOADED + timedelta(hours=loads), add=loads)
            request = chance.choice(questions(tag))
            first, second = (connection.ask(request) for connection in pair)
            assert same(first, second), request
            tag = first.header("etag") or tag
        assert remembering.routed < STEPS * 0.8
        assert forgetful.routed == STEPS
