"""The stand-in server: every source behind one port, each under its real host's name.

Belongs here: the app, and a server in a thread. Does not: any one source's wire, or the process (__main__.py).
"""

from __future__ import annotations

import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.responses import Response

from city_data import window
from city_data.sandbox.base import Setting, Size, Source, discover
from city_data.sandbox.faults import ORDERS_PATH, Fault, Faults, FaultyApp
from city_data.sandbox.publication import Publication
from city_data.window import Month


class Sandbox:
    """One server. `folder` stores generated files; `port` 0 takes any that is free. `keys`: see `Setting`.

    `as_of` may be a function, and `publication` and `faults` may be changed while it serves. `answered` counts what
    was, by path and status.
    """

    def __init__(
        self,
        folder: Path,
        *,
        size: Size = "small",
        as_of: datetime | Callable[[], datetime] = window.as_of,
        unpublished: Iterable[Month] = (),
        list_open_month: bool = True,
        keys: Mapping[str, str] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.publication = Publication.at(as_of, unpublished, list_open_month)
        self.faults = Faults()
        self.answered: Counter[tuple[str, int]] = Counter()
        setting = Setting(self.publication, folder, size, keys or {})
        self._sources: list[Source] = [kind(setting) for kind in discover()]
        self._address = (host, port)
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        """Known once started."""
        if self._socket is None:
            raise RuntimeError("the sandbox is not started")
        host, port = self._socket.getsockname()[:2]
        return f"http://{host}:{port}"

    @property
    def routes(self) -> dict[str, str]:
        """What CITY_DATA_ROUTES must hold, as JSON, for the providers to call this server."""
        return {host: f"{self.base_url}/{host}" for source in self._sources for host in source.hosts}

    def app(self) -> FaultyApp:
        app = FastAPI(title="city_data sandbox", openapi_url=None)
        for source in self._sources:
            app.include_router(source.router())

        def order(fault: Fault) -> Fault:
            self.faults.add(fault)
            return fault

        def heal() -> Response:
            self.faults.clear()
            return Response(status_code=204)

        def carried_out() -> dict[str, int]:
            return {"carried_out": self.faults.carried_out}

        app.add_api_route(ORDERS_PATH, carried_out, methods=["GET"])
        app.add_api_route(ORDERS_PATH, order, methods=["POST"], status_code=201)
        app.add_api_route(ORDERS_PATH, heal, methods=["DELETE"])
        return FaultyApp(app, self.faults, self._file_path, self.answered)

    def _file_path(self, path: str, month: Month) -> str:
        """The path of another month's file of the source that `path` belongs to; the path itself where it has none."""
        owner = next((source for source in self._sources if path.split("/")[1] in source.hosts), None)
        return (owner.file_path(month) if owner else None) or path

    def start(self) -> None:
        """Listen; requests are answered from now on. Raises OSError where the port is taken."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(self._address)
            listener.listen(128)
        except OSError:
            listener.close()
            raise
        config = uvicorn.Config(
            self.app(),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # ordered faults are no news
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        self._socket, self._server = listener, uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="sandbox", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and wait for the thread. Harmless where it is not running."""
        if self._server is None or self._thread is None or self._socket is None:
            return
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self._socket.close()
        self._socket = self._server = self._thread = None


@contextmanager
def running(
    folder: Path | None = None,
    *,
    as_of: datetime | Callable[[], datetime] = window.as_of,
    unpublished: Iterable[Month] = (),
    list_open_month: bool = True,
    keys: Mapping[str, str] | None = None,
) -> Iterator[Sandbox]:
    """A small sandbox for the length of a `with`; its files go to `folder`, else to one that is thrown away."""
    with tempfile.TemporaryDirectory() as temporary:
        sandbox = Sandbox(
            folder or Path(temporary),
            as_of=as_of,
            unpublished=unpublished,
            list_open_month=list_open_month,
            keys=keys,
        )
        sandbox.start()
        try:
            yield sandbox
        finally:
            sandbox.stop()
