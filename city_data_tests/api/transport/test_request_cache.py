"""A question asked before is answered as the routes answer it, and by the routes as soon as anything is not certain."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import timedelta
from itertools import product
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.auth.tokens import token_digest
from api.transport.request_cache import _BY_ROUTES, Key, request_key
from city_data.store.database import DatabaseUnavailable
from city_data_tests.api.conftest import LOADED, Load
from city_data_tests.api.issuer import TENANT_A, TENANT_B
from city_data_tests.api.locked import GOOD, LONG, NO_TIME, TOKEN, MakeReader, path, raises, same
from city_data_tests.api.sockets import Connection, written

QUERIES: list[dict[str, str]] = [
    {},
    {"format": "csv", "columns": "date", "include": "raw"},
    {"format": "arrow"},
    {"format": "parquet"},
    {"start_date": "2020-01-01", "end_date": "2020-01-02"},
]


@pytest.mark.parametrize("ledger_s", [NO_TIME, LONG], ids=["ledger asked each time", "ledger remembered"])
def test_repeat_has_the_bytes_and_headers_of_the_first_answer(make_reader: MakeReader, ledger_s: float) -> None:
    reader = make_reader(ledger_s)
    for number, (query, encoding) in enumerate(product(QUERIES, ["gzip", "zstd", "identity"]), start=1):
        first, *others = reader.ask(written(path(**query), Authorization=TOKEN, Accept_Encoding=encoding), times=4)
        assert first.status == 200
        assert all(same(first, other) for other in others), (query, encoding)
        assert reader.routed == number


@pytest.mark.parametrize("ledger_s", [NO_TIME, LONG])
def test_repeat_with_a_known_etag_is_304(make_reader: MakeReader, ledger_s: float) -> None:
    reader = make_reader(ledger_s)
    (known,) = reader.ask(written(path(), Authorization=TOKEN))
    request = written(path(), Authorization=TOKEN, If_None_Match=known.header("etag") or "")
    first, second = reader.ask(request, times=2)
    assert (first.status, first.body) == (304, b"")
    assert same(first, second)
    assert reader.routed == 2


def test_headers_of_a_proxy_do_not_change_the_key_and_relevant_ones_do(make_reader: MakeReader) -> None:
    reader = make_reader()
    for number in range(5):
        ids = {"X_Request_Id": f"id-{number}", "X_Forwarded_For": f"10.0.0.{number}", "Connection": "keep-alive"}
        reader.ask(written(path(), Authorization=TOKEN, Accept_Encoding="gzip", **ids))
    assert reader.routed == 1
    (plain,) = reader.ask(written(path(), Authorization=TOKEN, Accept_Encoding="identity"))
    (csv,) = reader.ask(written(path(), Authorization=TOKEN, Accept_Encoding="gzip", Accept="text/csv"))
    assert (plain.header("content-encoding"), csv.header("content-type")) == (
        None,
        "text/csv; charset=utf-8; header=present",
    )
    assert reader.routed == 3


BY_ROUTES = [
    written(path(), "HEAD", Authorization=TOKEN),
    written(path(), Authorization=TOKEN, Content_Length="0"),
    written(path(), Authorization=TOKEN, Range="bytes=0-9"),
    written(path(resolution="daily", dataset="traffic"), Authorization=TOKEN),
    written(path(as_of="2026-11-05"), Authorization=TOKEN),
    written(path(tenant="x"), Authorization=TOKEN),
]


def test_uncertain_requests_go_to_the_routes_every_time(make_reader: MakeReader) -> None:
    reader = make_reader()
    for number, request in enumerate(BY_ROUTES):
        for _ in range(3):
            with Connection(reader.port) as connection:
                connection.socket.sendall(request)
                assert connection.socket.recv(12) in (b"HTTP/1.1 200", b"HTTP/1.1 422")
        assert reader.routed == 3 * (number + 1), request


def test_connection_header_is_not_part_of_the_key(make_reader: MakeReader) -> None:
    reader = make_reader()
    (first,) = reader.ask(written(path(), Authorization=TOKEN))
    for changes in ({"version": "1.0"}, {"Connection": "close"}, {"Origin": "https://elsewhere.test"}, {"X_Name": "é"}):
        (other,) = reader.ask(written(path(), Authorization=TOKEN, **changes))
        assert (other.status, other.body, other.header("etag")) == (200, first.body, first.header("etag"))
    assert reader.routed == 1
    open_to_others = make_reader(api_cors_origins="https://elsewhere.test")
    answers = open_to_others.ask(written(path(), Authorization=TOKEN, Origin="https://elsewhere.test"), times=2)
    assert {answer.header("access-control-allow-origin") for answer in answers} == {"https://elsewhere.test"}


def scope(*headers: tuple[bytes, bytes], query: bytes = b"a=1") -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/a", "query_string": query, "headers": list(headers)}


@pytest.mark.parametrize(
    "name", [b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"range", b"if-range", b"origin"]
)
def test_requests_with_a_body_upgrade_or_range_have_no_key(name: bytes) -> None:
    by_routes = _BY_ROUTES | {b"origin"}
    assert request_key(scope((b"host", b"x")), by_routes) is not None
    assert request_key(scope((b"host", b"x"), (name, b"1")), by_routes) is None
    assert request_key(scope(query=b"a" * 5_000), by_routes) is None


NAMES = st.sampled_from([b"accept", b"authorization", b"accept-encoding", b"x-id"])


@given(st.lists(st.tuples(NAMES, st.text("ab ,:").map(str.encode))))
def test_keys_are_equal_for_equal_path_query_and_relevant_headers(headers: list[tuple[bytes, bytes]]) -> None:
    def keyed(lines: list[tuple[bytes, bytes]]) -> Key | None:
        return request_key(scope((b"host", b"x"), *lines), _BY_ROUTES)

    assert keyed(headers) == keyed([line for line in headers if line[0] != b"x-id"])
    assert keyed(headers) != keyed([*headers, (b"accept", b"b")])


def test_repeat_with_an_expired_token_or_withdrawn_key_is_401(
    make_reader: MakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = make_reader()
    request = written(path(), Authorization=TOKEN)
    assert [answer.status for answer in reader.ask(request, times=2)] == [200, 200]
    tokens = reader.app.state.request_cache._authorizer._tokens
    tokens._keys.generation += 1
    assert [answer.status for answer in reader.ask(request, times=2)] == [200, 200]
    assert reader.routed == 2  # by the new keys the token had to be checked once more
    monkeypatch.setattr(tokens, "_clock", lambda: time.time() + 86_400)
    monkeypatch.setattr("jwt.decode", raises(jwt.ExpiredSignatureError()))
    late = reader.ask(request, times=2)[-1]
    assert (late.status, json.loads(late.body)["detail"]) == (401, "The token has expired.")


def test_cache_contains_no_tokens(make_reader: MakeReader) -> None:
    reader = make_reader()
    request = written(path(), Authorization=TOKEN, If_None_Match='"other"')
    assert [answer.status for answer in reader.ask(request, times=3)] == [200] * 3  # stored after the answer has gone
    stored = repr(reader.app.state.request_cache._requests._entries)
    assert '"other"' in stored
    assert TOKEN.removeprefix("Bearer ") not in stored


def test_path_of_another_tenant_is_never_cached(make_reader: MakeReader) -> None:
    reader = make_reader()
    mine, theirs = (written(path(tenant), Authorization=TOKEN) for tenant in (TENANT_A, TENANT_B))
    for _ in range(2):
        assert [answer.status for answer in (*reader.ask(mine), *reader.ask(theirs))] == [200, 404]
    assert reader.routed == 3
    kept = reader.app.state.request_cache._requests
    ((key, entry),) = kept._entries.items()
    for token in (token_digest(GOOD.token(tenant_id=TENANT_B)), None):  # even were it known, by another's token
        kept.put(key, replace(entry[0], token=token), 1)
        before = reader.routed
        assert reader.ask(mine)[0].status == 200
        assert reader.routed == before + 1
        reader.ask(written("/health/live"))  # after it the server's loop has cached the answer before


@pytest.mark.parametrize("ledger_s", [NO_TIME, LONG])
def test_repeat_over_the_rate_limit_is_429_as_from_the_routes(make_reader: MakeReader, ledger_s: float) -> None:
    reader = make_reader(ledger_s, api_rate_per_s=0.001, api_rate_burst=4)
    answers = reader.ask(written(path(), Authorization=TOKEN), times=6)
    assert [answer.status for answer in answers] == [200] * 4 + [429] * 2
    assert [answer.header("ratelimit-remaining") for answer in answers] == ["3", "2", "1", "0", "0", "0"]
    assert answers[-1].header("Retry-After") is not None
    assert reader.routed == 3


def test_repeat_after_a_load_has_the_new_version(make_reader: MakeReader, load: Load) -> None:
    reader = make_reader(NO_TIME)
    request = written(path(dataset="weather"), Authorization=TOKEN, Accept_Encoding="identity")
    before = reader.ask(request, times=2)[-1]
    load("weather", "2025-10", at=LOADED + timedelta(days=1), add=3.0)
    after = reader.ask(request)[0]
    assert reader.routed == 1
    assert before.header("etag") != after.header("etag")
    assert (json.loads(before.body)[0]["temperature"], json.loads(after.body)[0]["temperature"]) == (4.0, 7.0)


def test_expired_ledger_is_read_again(make_reader: MakeReader, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("api.caching.time", SimpleNamespace(monotonic=lambda: time.monotonic() + now[0]))
    reader = make_reader(LONG)
    request = written(path(dataset="weather"), Authorization=TOKEN)
    before = reader.ask(request, times=2)[-1]
    load("weather", "2025-10", at=LOADED + timedelta(days=1), add=3.0)
    assert reader.ask(request)[0].header("etag") == before.header("etag")
    now[0] = LONG
    assert reader.ask(request)[0].header("etag") != before.header("etag")
    assert reader.routed == 1


def test_routes_answer_while_the_store_is_unavailable(make_reader: MakeReader, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = make_reader(NO_TIME)
    request = written(path(), Authorization=TOKEN)
    reader.ask(request)

    with monkeypatch.context() as patched:
        patched.setattr("api.query.versions.read_months", raises(DatabaseUnavailable("away")))
        (answer,) = reader.ask(request)
    assert (answer.status, answer.header("Retry-After")) == (503, "2")
    assert reader.ask(request)[0].status == 200
    assert reader.routed == 2


def test_metrics_and_log_equal_those_of_the_routes(make_reader: MakeReader, capsys: pytest.CaptureFixture[str]) -> None:
    reader = make_reader()
    reader.ask(written(path(), Authorization=TOKEN), times=3)
    value = reader.app.state.metrics.registry.get_sample_value
    labels = {"method": "GET", "city": "madrid", "status": "200"}
    template = "/api/v1/tenants/{tenant_id}/external/operations/historical-traffic-optimized"
    assert value("external_api_request_duration_seconds_count", labels | {"route": template}) == 3
    assert value("external_cache_hit_total", {"layer": "memory", "dataset": "traffic"}) == 4  # two months, twice
    assert value("external_api_requests_in_progress") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "request" in line]
    assert len(lines) == 3
    assert all(TENANT_A in line and "madrid" in line for line in lines)
