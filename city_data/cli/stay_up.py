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

from rich.console import Console

from city_data.errors import one_line
from city_data.local import platform
from city_data.local.ports import Ports
from city_data.pipeline.feeds import Feed
from city_data.store.database import DatabaseUnavailable
from city_data.window import Window


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
        console.print(text, highlight=False, markup=False)

    if os.geteuid() == 0:
        report("warning: running as root; the platform needs no rights of root, so prefer an ordinary user")
    ports = Ports.of_environment()
    ports.refuse_busy()
    started = time.monotonic()
    stop_in_order_on_signals()
    console.print("starting, to answer at")
    print_addresses(console, ports)
    with platform.owned(folder, mode, report) as own:
        os.environ.update(own.variables)
        platform.prepare_dagster(report)
        with platform.services(own, ports, collecting=any(feed.live for feed in feeds)) as children:
            failed = _first_backfill(console, feeds, window) if mode == "demo" else []
            children.await_port("api", ports.api)
            children.await_port("webserver", ports.ui)
            print_summary(console, feeds, window, entries_of(feeds))
            print_ready(console, ports, mode, feeds[0], window.open - 1, time.monotonic() - started)
            try:
                while not once:
                    time.sleep(1)
                    own.supervisor.refuse_failed()
            except KeyboardInterrupt:
                console.print("stopping")
    return failed


def _first_backfill(console: Console, feeds: Sequence[Feed], window: Window) -> list[str]:
    """The failed months. A database that goes away ends the backfill only: what is loaded is served."""
    from city_data.cli.progress import print_failures, run_backfill

    try:
        return run_backfill(console, feeds, window.months(), only_due=True)
    except DatabaseUnavailable as error:
        failed = [f"the backfill: {one_line(error)}; the daily refresh loads the months that are left"]
        print_failures(console, failed)
        return failed


def stop_in_order_on_signals() -> None:
    """Ctrl-C, SIGTERM and SIGHUP unwind this process, which stops its children.

    Set on purpose: a shell starts its background jobs with SIGINT ignored.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
