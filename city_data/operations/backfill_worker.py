"""A worker process of a backfill: executes one month's run after another, as its parent requests them.

Belongs here: the worker's side, `python -m city_data.operations.backfill_worker`. Does not: the choice of months, or
the processes (local/worker.py). Each message is a line of JSON: the environment first, then a task or a stop, and for
each task its result. A parent that is gone is a stop.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import TextIO

import dagster as dg

from city_data.cities import load_registry
from city_data.definitions import month_job
from city_data.errors import CityDataError
from city_data.interruption import Stop, on_signals
from city_data.operations.backfill import SIGNAL_POLL_S, Done, Task, materialize
from city_data.operations.instance import warm_instance
from city_data.pipeline.feeds import Feed, enabled_feeds
from city_data.store.database import DatabaseUnavailable
from city_data.window import Month


def work(received: TextIO, results: TextIO) -> None:
    if not (environment := received.readline()):  # nothing is due for a worker that was started early
        return
    os.environ.update(json.loads(environment))
    with on_signals() as stop:
        try:
            with warm_instance() as instance:
                for done in materialize(_month_job, instance, _tasks(received, stop), stop=stop):
                    _send(results, _result_message(done))
        except CityDataError as error:
            _send(results, {"failure": str(error), "away": isinstance(error, DatabaseUnavailable)})


def _month_job(feed: Feed) -> dg.JobDefinition:
    """The garbage collector leaves out what lives as long as this process: a look at all of Dagster's definitions and
    the imported modules takes 0.3 s, and came every few months."""
    job = month_job(feed)
    gc.freeze()
    return job


def _tasks(received: TextIO, stop: Stop) -> Iterator[Task]:
    """The tasks as they come, until a stop."""
    feeds = {feed.name: feed for feed in enabled_feeds(load_registry())}
    messages: queue.Queue[Mapping[str, str]] = queue.Queue()
    threading.Thread(target=_receive, args=(received, messages, stop), daemon=True).start()
    while stop.number is None:
        try:
            task = messages.get(timeout=SIGNAL_POLL_S)
        except queue.Empty:
            continue
        yield feeds[task["feed"]], Month.parse(task["month"])


def _receive(received: TextIO, messages: queue.Queue[Mapping[str, str]], stop: Stop) -> None:
    for line in received:
        message = json.loads(line)
        if "stop" in message:
            stop.number = int(message["stop"])
            return
        messages.put(message)
    stop.number = signal.SIGHUP


def _result_message(done: Done) -> dict[str, object]:
    return {"rows": done.rows, "run_id": done.run_id, "error": done.error}


def _send(results: TextIO, message: Mapping[str, object]) -> None:
    print(json.dumps(message), file=results, flush=True)


def main() -> None:
    """What else is printed goes to the log of the command, not between the results."""
    results = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    work(sys.stdin, results)


if __name__ == "__main__":
    main()
