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

from city_data.local import platform
from city_data.local.ports import Ports
from city_data.pipeline.feeds import Feed
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
    from city_data.cli.progress import entries_of, print_ready, run_backfill
    from city_data.cli.status import print_summary

    ports = Ports.of_environment()
    ports.refuse_busy()
    started = time.monotonic()
    stop_in_order_on_signals()
    with platform.joined(folder, mode) as variables:
        os.environ.update(variables)
        platform.set_pools(variables)
        with platform.services(folder, ports, variables, collecting=any(feed.live for feed in feeds)) as children:
            failed = run_backfill(console, feeds, window.months(), only_due=True) if mode == "demo" else []
            stop_in_order_on_signals()
            children.await_port("api", ports.api)
            children.await_port("webserver", ports.ui)
            print_summary(console, feeds, window, entries_of(feeds))
            print_ready(console, ports, mode, feeds[0], window.open - 1, time.monotonic() - started)
            try:
                while not once:
                    time.sleep(1)
                    children.refuse_dead()
            except KeyboardInterrupt:
                console.print("stopping")
    return failed


def stop_in_order_on_signals() -> None:
    """Ctrl-C and SIGTERM unwind this process, which stops its children.

    Set again after runs: Dagster gives SIGTERM the handler of SIGINT when a run ends, and a shell starts its background
    jobs with SIGINT ignored, so that a demo in the background could not be stopped.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
