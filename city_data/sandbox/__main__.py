"""`python -m city_data.sandbox`: the server as its own process, which ends with its parent.

Belongs here: options, signals, the watch over the parent. Does not: serving (server.py).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import stat
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from city_data import window
from city_data.sandbox.madrid_archive import SIZES
from city_data.sandbox.server import Sandbox
from city_data.window import Month


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal, or until the parent has gone. Writes one line of JSON once it listens."""
    options = _parser().parse_args(arguments)
    sandbox = Sandbox(
        options.state,
        size=options.size,
        as_of=options.as_of or window.as_of,
        unpublished=options.unpublished,
        list_open_month=not options.no_open_month,
        host=options.host,
        port=options.port,
    )
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Raised, not set: the main thread owns the event's lock while it waits, so setting it here would deadlock.
        signal.signal(number, _raise_interrupt)
    try:
        sandbox.start()
    except OSError as error:
        sys.stderr.write(f"sandbox: cannot listen on {options.host}:{options.port}: {error.strerror}\n")
        return 1
    sys.stdout.write(json.dumps({"base_url": sandbox.base_url, "routes": sandbox.routes}) + "\n")
    sys.stdout.flush()
    _watch_stdin(over)
    parent = os.getppid()
    with contextlib.suppress(KeyboardInterrupt):
        while not over.wait(1.0) and os.getppid() == parent:
            pass
    sandbox.stop()
    return 0


def _raise_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _watch_stdin(over: threading.Event) -> None:
    """A pipe that closes means the parent has gone. A terminal or /dev/null gives no such sign."""
    if sys.stdin is None or not stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        return

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        over.set()

    threading.Thread(target=wait, daemon=True).start()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m city_data.sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9900, help="0 takes any free one (default: 9900)")
    parser.add_argument("--state", type=Path, required=True, help="folder for the generated ZIPs")
    parser.add_argument("--size", choices=sorted(SIZES), default="small")
    parser.add_argument("--as-of", type=_moment, help="ISO 8601; default: CITY_DATA_AS_OF, else now")
    parser.add_argument("--unpublished", type=Month.parse, nargs="*", default=[], help="months to withhold, YYYY-MM")
    parser.add_argument("--no-open-month", action="store_true", help="Madrid lists closed months only")
    return parser


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


if __name__ == "__main__":
    sys.exit(main())
