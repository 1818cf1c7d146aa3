"""The connection of tests: it loses nothing of what the server sent."""

from __future__ import annotations

import socket

from city_data_tests.api.sockets import Connection

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"


def test_answers_that_come_together_are_read_one_after_the_other() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, Connection(listening.getsockname()[1]) as connection:
        accepted, _ = listening.accept()
        with accepted:
            accepted.sendall(ANSWER + b"1" + ANSWER + b"2")
            assert [connection.read().body for _ in range(2)] == [b"1", b"2"]
