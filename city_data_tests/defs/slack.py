"""A local HTTP server in place of Slack, and ticks of the sensors that post to it.

Belongs here: the server, its scripted answers, ticking. Does not: any test.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dagster as dg

from city_data.definitions import defs
from city_data_tests.world import World


@dataclass
class Slack:
    """A local HTTP server in place of Slack: the messages that it took, and the answers to those before."""

    messages: list[str] = field(default_factory=list)
    answers: list[int | None] = field(default_factory=list)  # None: no answer within the client's patience
    tried: list[str] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[tuple[Slack, str]]:
    """A running server, and the webhook's address."""
    server_state, over = Slack(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"]
            server_state.tried.append(text)
            status = server_state.answers.pop(0) if server_state.answers else 200
            if status is None:
                over.wait(30)
                return
            if status == 200:
                server_state.messages.append(text)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server_state, f"http://127.0.0.1:{server.server_port}/hook"
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def tick(world: World, sensor: str, cursor: str | None) -> tuple[str, str | None]:
    """The skip message of a sensor's tick, and its cursor."""
    repository = defs().get_repository_def()
    context = dg.build_sensor_context(
        instance=world.instance,
        repository_def=repository,
        resources=repository.get_top_level_resources(),
        cursor=cursor,
    )
    data = repository.get_sensor_def(sensor).evaluate_tick(context)
    return str(data.skip_message), data.cursor
