"""What must hold after a fault: committed rows are there, unfinished loads left nothing, writes and a restart work.

Belongs here: the checks, each a line of words where it fails. Does not: faults (faults.py), or the judgement of reads
(watcher.py).
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import psycopg

from city_data.datasets import DATASETS
from city_data.window import Month
from city_data_tests.chaos.machine import Machine, NotReady, await_true
from city_data_tests.chaos.watcher import Series, Verdict

SLOT_S, RUNS_S, READS_S = 30.0, 150.0, 60.0
_COUNTS = """
SELECT m.dataset, m.city_id, to_char(m.month, 'YYYY-MM'), m.rows,
  CASE m.dataset
  WHEN 'weather' THEN (SELECT count(*) FROM {weather} d WHERE d.city_id = m.city_id AND d.month = m.month)
  ELSE (SELECT count(*) FROM {traffic} d WHERE d.city_id = m.city_id AND d.month = m.month) END
FROM city_month m WHERE m.version IS NOT NULL
"""
_STRAY = """
SELECT 'weather', d.city_id, d.month::text FROM {weather} d LEFT JOIN city_month m
  ON (m.city_id, m.month, m.dataset) = (d.city_id, d.month, 'weather') WHERE m.version IS NULL
UNION SELECT 'traffic', d.city_id, d.month::text FROM {traffic} d LEFT JOIN city_month m
  ON (m.city_id, m.month, m.dataset) = (d.city_id, d.month, 'traffic') WHERE m.version IS NULL
"""
_UNFINISHED = (
    "SELECT run_id, status FROM runs WHERE status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED')"
    " UNION ALL SELECT key, status FROM bulk_actions WHERE status IN ('REQUESTED', 'CANCELING')"
)
_SLOTS = (
    "SELECT DISTINCT s.run_id FROM concurrency_slots s LEFT JOIN runs r USING (run_id)"
    " WHERE s.run_id IS NOT NULL AND (r.status IS NULL OR r.status IN ('SUCCESS', 'FAILURE', 'CANCELED'))"
)


@dataclass
class Reads:
    """The watcher's lines, taken as they are written."""

    path: Path
    verdicts: list[Verdict] = field(default_factory=list)
    _offset: int = 0

    def take(self) -> list[Verdict]:
        """Every verdict since the last call."""
        with self.path.open("rb") as lines:
            lines.seek(self._offset)
            body = lines.read()
        whole = body[: body.rfind(b"\n") + 1]
        self._offset += len(whole)
        new = [Verdict(**orjson.loads(line)) for line in whole.splitlines()]
        self.verdicts += new
        return new

    def right_since(self, moment: float) -> set[str]:
        self.take()
        return {verdict.series for verdict in self.verdicts if verdict.kind == "right" and verdict.at > moment}


@dataclass
class Assertion:
    """The state of the world that every fault has to leave. `usual` is a second start's time in seconds.

    `judged` and `ready_s` are of the last check: the reads since the one before, and the seconds of the second start.
    """

    machine: Machine
    reads: Reads
    series: list[Series]
    usual: float
    judged: list[Verdict] = field(default_factory=list)
    ready_s: float | None = None
    starts: int = 0
    committed: set[tuple[str, str, str]] = field(default_factory=set)

    def remember(self) -> None:
        """The months that are committed now: they must be there for ever."""
        self.starts = self.machine.starts
        with psycopg.connect(self.machine.recorded()["CITY_DATA_DATABASE_URL"]) as connection:
            self.committed |= {row[:3] for row in connection.execute(_counts_query(_COUNTS))}

    def check(self, month: Month, stop_by: int | None) -> list[str]:
        """Each part that does not hold, in words. Leaves a running platform, whatever was found.

        `month` is written again; `stop_by` is the signal that ends the platform before a second start, None without.
        A fault that has started it anew itself needs no other start: its own is held to the usual time.
        """
        faults: list[str] = []
        self.ready_s = None
        for part in (self._reads_are_right, self._rows_are_whole, self._no_run_is_left, lambda: self._writes(month)):
            with noted(faults):
                faults += part()
        if self.machine.starts > self.starts:
            faults += self._is_usual(self.machine.ready_s)
        elif stop_by is not None:
            with noted(faults):
                faults += self._restarts(stop_by)
        if faults:
            with noted(faults):
                self._start_anew(180)
        with noted(faults):
            self.remember()
        faults += [f"watcher: {v.series}: {v.words}" for v in self._wrong()]
        return faults

    def _wrong(self) -> list[Verdict]:
        """Wrong answers that were not reported yet."""
        self.reads.take()
        self.judged, self.reads.verdicts = self.reads.verdicts, []
        return [verdict for verdict in self.judged if verdict.kind == "wrong"]

    def _reads_are_right(self) -> list[str]:
        names, since = {each.name for each in self.series}, time.time()
        seconds = READS_S * self.machine.patience
        await_true(lambda: self.reads.right_since(since) >= names, seconds, "right answers for every series")
        return []

    def _rows_are_whole(self) -> list[str]:
        with psycopg.connect(self.machine.recorded()["CITY_DATA_DATABASE_URL"], connect_timeout=20) as connection:
            counts = connection.execute(_counts_query(_COUNTS)).fetchall()
            stray = connection.execute(_counts_query(_STRAY)).fetchall()
        lost = self.committed - {row[:3] for row in counts}
        return [
            *(f"{name} was committed and is gone" for name in sorted("/".join(key) for key in lost)),
            *(
                f"{d}/{c} {m}: {rows} rows, {ledger} by the ledger"
                for d, c, m, ledger, rows in counts
                if ledger != rows
            ),
            *(f"{d}/{c} {m}: rows without a version in the ledger" for d, c, m in stray),
        ]

    def _no_run_is_left(self) -> list[str]:
        url, patience = self.machine.recorded()["CITY_DATA_DAGSTER_URL"], self.machine.patience
        with psycopg.connect(url, autocommit=True, connect_timeout=20) as connection:

            def left(query: str) -> list[tuple[str, ...]]:
                return connection.execute(query.encode()).fetchall()

            for what, query, seconds in (
                ("slots of ended runs", _SLOTS, SLOT_S),
                ("runs and backfills", _UNFINISHED, RUNS_S),
            ):
                try:
                    await_true(lambda query=query: not left(query), seconds * patience, what)  # type: ignore[misc]
                except TimeoutError as error:
                    return [f"{error}: {left(query)}"]
        return []

    def _writes(self, month: Month) -> list[str]:
        words = ["--city", self.series[0].city_id, "--dataset", self.series[0].dataset]
        code, text = self.machine.run("backfill", *words, "--from", str(month), "--to", str(month))
        return [] if code == 0 else [f"a backfill ended with {code}: {_end(text)}"]

    def _restarts(self, number: int) -> list[str]:
        """Stop by a signal, and start again in the usual time."""
        if self.machine.main.poll() is not None:
            return [f"the platform had ended: {_end(self.machine.log.read_text(errors='replace'))}"]
        code = self.machine.stop(number)
        expected = 0 if number == signal.SIGINT else 128 + number  # Ctrl-C is the way to end it
        faults = [] if code == expected else [f"signal {number}: exit code {code}"]
        await_true(lambda: not self.machine.processes(), 10 * self.machine.patience, "no process left after the stop")
        self.machine.launch()
        return faults + self._is_usual(self.machine.await_ready(120))

    def _is_usual(self, seconds: float | None) -> list[str]:
        self.ready_s, limit = seconds, 2 * self.usual + 30 * self.machine.patience
        if seconds is None or seconds <= limit:
            return []
        return [f"ready after {seconds:.0f} s, usually {self.usual:.0f} s"]

    def _start_anew(self, seconds: float) -> None:
        self.machine.kill_all()
        self.machine.launch()
        self.machine.await_ready(seconds)


@contextmanager
def noted(faults: list[str]) -> Iterator[None]:
    """A check that cannot be made is a fault too."""
    try:
        yield
    except (TimeoutError, NotReady, OSError, psycopg.Error, AssertionError, ValueError, KeyError) as error:
        faults.append(f"{type(error).__name__}: {_end(str(error))}")


def _counts_query(text: str) -> bytes:
    return text.format(weather=DATASETS["weather"].table, traffic=DATASETS["traffic"].table).encode()


def _end(text: str) -> str:
    return " | ".join(text.strip().splitlines()[-3:])[-400:]
