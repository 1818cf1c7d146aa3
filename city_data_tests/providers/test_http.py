"""The client over real sockets: waits, retries, deadlines, hosts, caps, and downloads that are taken up again."""

from __future__ import annotations

import email.utils
import gzip
import hashlib
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from city_data import environment
from city_data.payloads import file_sha256
from city_data.providers.base import PermanentError, ProviderError, RateLimit, TransientError
from city_data.providers.http import HttpSettings, routes
from city_data.providers.transport.response import Response, bare, retry_after
from city_data_tests.providers.wire import Answer, Call, Site, client
from city_data_tests.sandbox.asking import StillClock

URL, PATH = "https://a.example/data", "/a.example/data"
WHOLE = bytes(range(256)) * 800
KEY = "canary-0f3a"


class Counting:
    """A budget that always asks for the same wait."""

    def __init__(self, wait: float) -> None:
        self.wait, self.asked = wait, list[str]()

    def reserve(self, name: str, limit: RateLimit, patience: float) -> float:
        self.asked.append(name)
        return self.wait


def test_response_has_its_bytes_and_its_origin(web: Site) -> None:
    web.on(PATH, Answer(b"caf\xe9", headers={"X-City-Data-Origin": "sandbox", "ETag": '"1"'}))
    response = client(web).get(URL, {"day": "1"}, {"api_key": KEY})
    assert (response.text("latin-1"), response.origin, response.headers["etag"]) == ("café", "sandbox", '"1"')
    assert response.url == URL
    assert web.calls[0].path == f"{PATH}?day=1"
    assert web.calls[0].headers["api_key"] == KEY
    assert "city_data" in web.calls[0].headers["user-agent"]


def test_waits_follow_retry_after_or_grow(web: Site) -> None:
    web.on(PATH, Answer(status=429, headers={"Retry-After": "17"}), Answer(status=503), Answer(status=503), Answer())
    clock = StillClock()
    client(web, clock=clock).get(URL)
    told, first, second = clock.slept
    assert told == 17
    assert 1 <= first <= 3
    assert 2 <= second <= 6


def test_attempts_are_capped(web: Site) -> None:
    web.on(PATH, Answer(b"over <b>load</b>", status=500))
    with pytest.raises(TransientError, match="answered 500: over"):
        client(web, settings=HttpSettings(attempts=3)).get(URL)
    assert len(web.calls) == 3


@pytest.mark.parametrize("seconds", ["91", "100000000000000000000", "200"])
def test_too_long_wait_is_left_to_the_caller(web: Site, seconds: str) -> None:
    web.on(PATH, Answer(status=429, headers={"Retry-After": seconds}))
    clock = StillClock()
    with pytest.raises(TransientError) as caught:
        client(web, clock=clock).get(URL)
    assert caught.value.retry_after == min(float(seconds), 86_400)
    assert (len(web.calls), clock.slept) == (1, [])


def test_the_deadline_bounds_all_waits(web: Site) -> None:
    web.on(PATH, Answer(status=503, headers={"Retry-After": "40"}))
    clock = StillClock()
    with pytest.raises(TransientError):
        client(web, clock=clock, settings=HttpSettings(deadline=100, attempts=9)).get(URL)
    assert clock.slept == [40, 40]


def test_slow_trickle_ends_at_the_deadline(web: Site) -> None:
    clock = StillClock()
    web.on(PATH, Answer(WHOLE, before=lambda: clock.sleep(200)))
    with pytest.raises(TransientError, match="deadline"):
        client(web, clock=clock).get(URL)
    assert len(web.calls) == 1


def test_silent_server_is_a_timeout(web: Site) -> None:
    released = threading.Event()
    web.on(PATH, Answer(before=lambda: released.wait(20)), Answer(b"late"))
    begun = time.monotonic()
    try:
        assert client(web, settings=HttpSettings(read_timeout=0.2)).get(URL).body == b"late"
    finally:
        released.set()
    assert time.monotonic() - begun < 10


def test_refused_connection_is_a_transient_error() -> None:
    with pytest.raises(TransientError, match="ConnectError"):
        client(Site("http://127.0.0.1:9"), settings=HttpSettings(attempts=2)).get(URL)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_client_errors_are_not_retried(web: Site, status: int) -> None:
    web.on(PATH, Answer(status=status))
    with pytest.raises(PermanentError, match=str(status)):
        client(web).get(URL)
    assert len(web.calls) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/data", "https://evil.example/data", "https://a.example.evil.example/", "https://127.0.0.1/",
        "https://169.254.169.254/latest", "https://a.example:8443/", "file:///x",
        "https://a.example@evil.example/", "https://user:secret@a.example/",
    ],
)  # fmt: skip
@pytest.mark.parametrize("redirected", [False, True])
def test_other_hosts_are_refused_before_any_call(web: Site, tmp_path: Path, url: str, redirected: bool) -> None:
    web.on(PATH, Answer(status=302, headers={"Location": url}))
    for call in (client(web).get, lambda target: client(web).download(target, tmp_path / "x")):
        with pytest.raises(PermanentError, match="refused to call") as caught:
            call(URL if redirected else url)
        assert "secret" not in str(caught.value)
    assert len(web.calls) == (2 if redirected else 0)


@pytest.mark.parametrize("url", ["https://[::1", "https://a.example:port/", "//a.example/data", "data", ""])
def test_invalid_address_is_refused(web: Site, url: str) -> None:
    with pytest.raises(PermanentError, match="refused to call"):
        client(web).get(url)
    assert web.calls == []


def test_keys_are_not_sent_to_another_host(web: Site) -> None:
    web.on(PATH, Answer(status=302, headers={"Location": "https://b.example/there?x=1"}))
    web.on("/b.example/there", Answer(b"found"))
    assert client(web).get(URL, {"q": "1"}, {"api_key": KEY}).body == b"found"
    assert web.calls[1].path == "/b.example/there?x=1"
    assert KEY not in str(web.calls[1])


def test_errors_do_not_reveal_the_query(web: Site) -> None:
    web.on(PATH, Answer(status=400))
    with pytest.raises(PermanentError) as caught:
        client(web).get(f"{URL}?appid={KEY}", headers={"api_key": KEY})
    assert KEY not in str(caught.value)


def test_redirect_loop_ends(web: Site) -> None:
    web.on(PATH, Answer(status=302, headers={"Location": URL}))
    with pytest.raises(PermanentError, match="redirects"):
        client(web).get(URL)


def test_too_large_body_is_refused(web: Site, tmp_path: Path) -> None:
    web.on(PATH, Answer(WHOLE))
    with pytest.raises(PermanentError, match="more than 1,000 bytes"):
        client(web).get(URL, max_bytes=1000)
    with pytest.raises(PermanentError, match="larger than 1,000 bytes"):
        client(web).download(URL, tmp_path / "file", max_bytes=1000)
    assert list(tmp_path.iterdir()) == []


def test_inflated_gzip_obeys_the_size_limit(web: Site) -> None:
    packed = {"Content-Encoding": "gzip"}
    web.on(PATH, Answer(gzip.compress(WHOLE), headers=packed))
    assert client(web).get(URL).body == WHOLE
    web.on(PATH, Answer(gzip.compress(bytes(50_000_000)), headers=packed))
    with pytest.raises(PermanentError, match="more than"):
        client(web).get(URL, max_bytes=100_000)
    for broken in (b"no gzip", gzip.compress(WHOLE)[:-9]):
        web.on(PATH, Answer(broken, headers=packed))
        with pytest.raises(TransientError, match="gzip"):
            client(web).get(URL)
    web.on(PATH, Answer(b"?", headers={"Content-Encoding": "br"}))
    with pytest.raises(PermanentError, match="coding"):
        client(web).get(URL)


def test_truncated_body_is_retried(web: Site) -> None:
    web.on(PATH, Answer(b"half", length=8), Answer(b"whole"))
    assert client(web).get(URL).body == b"whole"


def ranged(call: Call) -> Answer:
    """A server that resumes, unless the client's version is another."""
    start = call.headers.get("range", "").removeprefix("bytes=").removesuffix("-")
    if not start or call.headers.get("if-range", '"v"') != '"v"':
        return Answer(WHOLE, headers={"ETag": '"v"'})
    span = f"bytes {start}-{len(WHOLE) - 1}/{len(WHOLE)}"
    return Answer(WHOLE[int(start) :], 206, {"Content-Range": span})


def cut(size: int, **headers: str) -> Answer:
    return Answer(WHOLE[:size], headers=headers, length=len(WHOLE))


@pytest.mark.parametrize(
    ("first", "then", "last_range"),
    [
        (cut(9000, ETag='"v"'), ranged, "bytes=9000-"),
        (cut(9000), ranged, "bytes=9000-"),
        # The file was replaced in between: the server sends the new one whole.
        (Answer(b"x" * 9000, headers={"ETag": '"old"'}, length=12_000), ranged, "bytes=9000-"),
        # A server that knows no ranges.
        (cut(9000), Answer(WHOLE), "bytes=9000-"),
    ],
)
def test_interrupted_download_is_resumed(web: Site, tmp_path: Path, first: Answer, then: Any, last_range: str) -> None:
    web.on(PATH, first, then)
    response = client(web).download(URL, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == WHOLE
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert response.body == b""
    assert web.calls[-1].headers["range"] == last_range


@pytest.mark.parametrize(
    "odd",
    [Answer(status=416), Answer(WHOLE[5000:], 206, {"Content-Range": f"bytes 5000-{len(WHOLE) - 1}/{len(WHOLE)}"})],
)
def test_failed_resume_starts_over(web: Site, tmp_path: Path, odd: Answer) -> None:
    web.on(PATH, cut(9000), odd, ranged)
    client(web).download(URL, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == WHOLE
    assert "range" not in web.calls[2].headers


def test_failed_download_leaves_no_file(web: Site, tmp_path: Path) -> None:
    web.on(PATH, cut(9000))
    with pytest.raises(TransientError):
        client(web, settings=HttpSettings(attempts=2)).download(URL, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_error_during_a_resume_keeps_the_partial_file(web: Site, tmp_path: Path) -> None:
    web.on(PATH, cut(9000, ETag='"v"'), Answer(status=503), ranged)
    client(web).download(URL, tmp_path / "file")
    assert file_sha256(tmp_path / "file") == hashlib.sha256(WHOLE).hexdigest()
    assert web.calls[2].headers["if-range"] == '"v"'


def test_every_call_uses_the_budget_except_to_our_own_servers(web: Site) -> None:
    web.on(PATH, Answer())
    budget, clock = Counting(2.5), StillClock()
    client(web, budget=budget, clock=clock).get(URL)
    assert (budget.asked, clock.slept) == ([], [])
    settings = HttpSettings(attempts=1, connect_timeout=0.2, deadline=60)
    unrouted = client(web, budget=budget, clock=clock, routes={}, settings=settings)
    with pytest.raises(TransientError):
        unrouted.get("https://a.example:443/nowhere")
    assert (budget.asked, clock.slept) == (["testing"], [2.5])
    budget.wait = 1000
    with pytest.raises(TransientError, match="budget is used up") as caught:
        unrouted.get(URL)
    assert caught.value.retry_after == 1000


def test_refusal_by_the_caller_is_not_retried(web: Site) -> None:
    def refuse(response: Response) -> None:
        raise ProviderError(f"seen {response.status}")

    web.on(PATH, Answer(status=404))
    with pytest.raises(ProviderError, match="seen 404"):
        client(web).get(URL, accept=refuse)
    assert len(web.calls) == 1


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}'])
def test_invalid_routes_are_refused(text: str) -> None:
    with pytest.raises(PermanentError, match=environment.ROUTES.name):
        routes({environment.ROUTES.name: text})


def test_routes_are_read_from_the_environment() -> None:
    assert routes({}) == {}
    assert routes({environment.ROUTES.name: '{"a.example": "http://127.0.0.1:1/a"}'}) == {
        "a.example": "http://127.0.0.1:1/a"
    }


def test_retry_after_may_be_a_date() -> None:
    soon = email.utils.formatdate(time.time() + 30, usegmt=True)
    assert retry_after({"retry-after": soon}) == pytest.approx(30, abs=2)
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 -0000"}) == 0
    assert retry_after({}, 60) == retry_after({"retry-after": "soon"}, 60) == 60


@given(st.text(max_size=40))
def test_any_header_and_any_address_is_handled(text: str) -> None:
    wait = retry_after({"retry-after": text})
    assert wait is None or 0 <= wait <= 86_400
    assert "?" not in bare(text)
