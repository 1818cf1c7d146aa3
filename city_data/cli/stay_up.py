"""`city-data demo` and `up`: start the platform on this machine, keep it running, stop it in order.

Belongs here: the order of starting, the demo's backfill, waiting, and stopping on a signal. Does not: the processes
(local/platform.py), or the printed text (progress.py).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from rich.console import Console

from city_data.errors import one_line
from city_data.interruption import handled_signals
from city_data.local import platform
from city_data.local.home import has_space
from city_data.local.ports import Ports
from city_data.local.supervisor import Supervisor
from city_data.local.worker import Worker, early_workers
from city_data.pipeline.feeds import Feed, months_of
from city_data.store.database import DatabaseUnavailable
from city_data.window import Window

if TYPE_CHECKING:
    from city_data.operations.backfill import Task

GO_ON_AFTER_S, LOOK_EVERY_S = 20.0, 1.0


def stay_up(
    console: Console,
    mode: platform.Mode,
    folder: Path,
    once: bool,
    window: Window,
    feeds: Sequence[Feed],
) -> list[str]:
    """Start everything and stay until Ctrl-C, or with `once` only until it is ready; returns the failed months.

    Raises PortInUse, ConfigurationError, LocalError.
    """
    from city_data.cli.progress import entries_of, print_addresses, print_ready
    from city_data.cli.status import print_summary

    def report(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    if os.geteuid() == 0:
        report("warning: running as root; the platform needs no rights of root, so prefer an ordinary user")
    ports = Ports.of_environment()
    ports.refuse_busy()
    started = time.monotonic()
    stop_in_order_on_signals()
    console.print("starting, to answer at")
    print_addresses(console, ports)
    with early_workers(_expected(folder, mode, feeds, window)) as early, platform.owned(folder, mode, report) as own:
        os.environ.update(own.variables)
        platform.prepare_dagster(report)
        with platform.services(own, ports, collecting=any(feed.live for feed in feeds)) as children:
            first = FirstBackfill(console, feeds, window, own.home, early)
            if mode == "demo":
                first.run()
            children.await_port("api", ports.api)
            children.await_port("webserver", ports.ui)
            print_summary(console, feeds, window, entries_of(feeds))
            print_ready(console, ports, mode, feeds[0], window.open - 1, time.monotonic() - started)
            if not once:
                try:
                    _wait(own.supervisor, first)
                except KeyboardInterrupt:
                    console.print("stopping")
    return first.failed


def _wait(supervisor: Supervisor, first: FirstBackfill) -> None:
    """Stay until a signal, and go on with an interrupted backfill. Raises NotHealed."""
    while True:
        time.sleep(LOOK_EVERY_S)
        supervisor.refuse_failed()
        first.go_on()


def _expected(folder: Path, mode: platform.Mode, feeds: Sequence[Feed], window: Window) -> list[Task]:
    """The months that a start will load for certain: those of a demo whose home is new."""
    with platform.usable(folder):
        is_new = not (folder / "mode").exists()
    return [(feed, month) for feed in feeds for month in feed.months(window)] if mode == "demo" and is_new else []


class FirstBackfill:
    """The backfill of a demo. A database that goes away, or a full disk, ends it in one line: what is loaded is served.

    It goes on from the loaded months when there is space again. `failed` has a line for each failure.
    """

    def __init__(
        self, console: Console, feeds: Sequence[Feed], window: Window, folder: Path, early: Sequence[Worker] = ()
    ) -> None:
        self._early = early
        self._console, self._feeds, self._window, self._folder = console, feeds, window, folder
        self._due: float | None = None
        self.failed: list[str] = []

    def run(self) -> None:
        from city_data.cli.progress import DiskFull, print_failures, run_backfill

        self._due = None
        try:
            early, self._early = self._early, ()
            self.failed = run_backfill(self._console, self._feeds, months_of(self._feeds, self._window), True, early)
        except (DatabaseUnavailable, DiskFull) as error:
            self._due = time.monotonic() + GO_ON_AFTER_S
            self.failed = [f"the backfill: {one_line(error)}; it goes on when it can, or with the next start"]
            print_failures(self._console, self.failed)

    def go_on(self) -> None:
        """Run again what was interrupted, once in a while, and only with space on the disk."""
        if self._due is not None and time.monotonic() >= self._due and has_space(self._folder):
            self._console.print("the backfill goes on")
            self.run()


def stop_in_order_on_signals() -> None:
    """Ctrl-C, SIGTERM and SIGHUP unwind this process, which stops its children.

    Set on purpose: a shell starts its background jobs with SIGINT ignored.
    """
    for number in handled_signals():
        signal.signal(number, _exit)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _exit(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)
