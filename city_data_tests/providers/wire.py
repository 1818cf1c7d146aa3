"""A web server of a few scripted answers, and the real client that calls it by declared names.

Belongs here: what the tests of providers share. Does not: any source's protocol, which the sandbox speaks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from city_data.providers.base import Capabilities, RateLimit
from city_data.providers.http import HttpClient
from city_data_tests.sandbox.asking import StillClock

HOSTS = ("a.example", "b.example")
URL, PATH = "https://a.example/data", "/a.example/data"
WHOLE = bytes(range(256)) * 800
# Beside the repository; its payloads are read in place.
RECORDED = Path(__file__).resolve().parents[3] / "shared" / "providers"
FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


@dataclass(frozen=True)
class Answer:
    """`length` is what Content-Length claims, the body's own where None; `before` runs before the body is sent."""

    body: bytes = b"{}"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    before: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Call:
    path: str
    headers: Mapping[str, str]


Reply = Answer | Callable[[Call], Answer]


@dataclass
class Site:
    """Answers by path, `/<host>/...`; of several the last is repeated."""

    url: str = ""
    answers: dict[str, list[Reply]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    @property
    def routes(self) -> dict[str, str]:
        return {host: f"{self.url}/{host}" for host in HOSTS}

    def on(self, path: str, *replies: Reply) -> None:
        self.answers[path] = list(replies)

    def reply(self, call: Call) -> Answer:
        self.calls.append(call)
        replies = self.answers[call.path.partition("?")[0]]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        return reply if isinstance(reply, Answer) else reply(call)


@contextmanager
def site() -> Iterator[Site]:
    """A running server on a free port."""
    made = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = made.reply(Call(self.path, {name.lower(): value for name, value in self.headers.items()}))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
            self.end_headers()
            answer.before()
            self.wfile.write(answer.body)

        do_POST = do_GET  # noqa: N815  the standard library's name

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the standard library's name
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def client(made: Site, **changes: Any) -> HttpClient:
    """A client of two hosts, both answered by `made`, on a clock that never waits."""
    capabilities = Capabilities(
        dataset="weather",
        columns=("temperature",),
        resolution="hourly",
        lag=timedelta(days=1),
        settling=timedelta(days=1),
        earliest=None,
        rate_limit=RateLimit(10, 60),
        licence="none",
        licence_url="https://a.example/licence",
        modelled=False,
        hosts=HOSTS,
    )
    return HttpClient(
        "testing", capabilities, **({"clock": StillClock(), "routes": made.routes, "budget": _NoBudget()} | changes)
    )


class _NoBudget:
    def block(self, name: str, seconds: float) -> None:
        """Nothing is shared."""

    def reserve(self, name: str, limit: RateLimit, patience: float) -> float:
        return 0.0
