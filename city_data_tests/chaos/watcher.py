"""The watcher: a process that reads every series over HTTP all the while, and holds each answer to its tag and truth.

Belongs here: reading and judging answers. Does not: faults, or the platform, with which it shares an address and a file
of expected values alone.

Every read is a line of JSON: `right`, `away` (no answer, or 503), or `wrong` with a reason:
- an ETag, or a snapshot id, that stood for other bytes before;
- a pinned version that is not the bytes it was;
- a value that is not the source's; an hour too few or too many;
- a complete month that was served before and is missing now;
- any status that is neither 200, 304 nor 503.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
import orjson

from city_data.window import Month

TENANT = "00000000-0000-4000-8000-000000000001"
Kind = Literal["right", "away", "wrong"]
Truth = Mapping[str, Mapping[str, float | None]]
_TIMEOUT_S = 20.0
_WAYS: list[dict[str, str]] = [{}, {"Accept-Encoding": "gzip"}, {"Accept": "text/csv"}]


@dataclass(frozen=True)
class Series:
    city_id: str
    dataset: str
    latitude: float
    longitude: float
    timezone: str

    @property
    def name(self) -> str:
        return f"{self.dataset}/{self.city_id}"


@dataclass(frozen=True)
class Verdict:
    at: float
    series: str
    kind: Kind
    words: str = ""
    rows: int = 0
    seconds: float = 0.0


@dataclass
class Watch:
    """One series' answers so far. `truth` has each expected value by hour and column; empty where there is none."""

    series: Series
    months: list[Month]
    truth: Truth
    by_tag: dict[tuple[str, str], str] = field(default_factory=dict)
    by_snapshot: dict[str, str] = field(default_factory=dict)
    served: set[str] = field(default_factory=set)
    right: dict[str, int] = field(default_factory=dict)
    etag: str | None = None
    reads: int = 0

    def read(self, client: httpx.Client, base: str) -> Verdict:
        """One request, in one of several ways by turns, judged."""
        self.reads += 1
        started = time.time()
        query: dict[str, str] = {
            "latitude": str(self.series.latitude),
            "longitude": str(self.series.longitude),
            "start_date": str(self.months[0].first_day),
            "end_date": str(self.months[-1].last_day),
        }
        headers = dict(_WAYS[self.reads % len(_WAYS)])
        pinned = next(reversed(self.by_snapshot), None) if self.reads % 5 == 0 else None
        if pinned is not None:
            query["version"] = pinned
        elif self.reads % 7 == 0 and self.etag is not None:
            headers["If-None-Match"] = self.etag
        url = f"{base}/api/v1/tenants/{TENANT}/external/historical-{self.series.dataset}"
        try:
            answer = client.get(url, params=query, headers=headers)
        except httpx.HTTPError as error:
            return self._verdict(started, "away", type(error).__name__)
        words = self.judged(answer, headers, pinned)
        if words == "503":
            return self._verdict(started, "away", words)
        rows = self.right.get(answer.headers.get("X-Snapshot-Id", ""), 0)
        return self._verdict(started, "wrong" if words else "right", words, rows)

    def _verdict(self, started: float, kind: Kind, words: str = "", rows: int = 0) -> Verdict:
        return Verdict(started, self.series.name, kind, words[:500], rows, time.time() - started)

    def judged(self, answer: httpx.Response, headers: Mapping[str, str], pinned: str | None) -> str:
        """Why the answer is wrong; empty where it is right."""
        if answer.status_code == 503:
            return "503"
        if answer.status_code == 304 and "If-None-Match" in headers:
            return ""
        if answer.status_code != 200:
            return f"status {answer.status_code}: {answer.text[:200]}"
        tag, snapshot = answer.headers["ETag"], answer.headers["X-Snapshot-Id"]
        digest = hashlib.sha256(answer.content).hexdigest()
        way = f"{headers.get('Accept', '')};{headers.get('Accept-Encoding', '')}"
        if self.by_tag.setdefault((way, tag), digest) != digest:
            return f"ETag {tag} stands for other bytes than before"
        if pinned is not None and snapshot != pinned:
            return f"version={pinned} was answered with {snapshot}"
        if "Accept" in headers:
            return ""
        if self.by_snapshot.setdefault(snapshot, digest) != digest:
            return f"snapshot {snapshot} stands for other bytes than before"
        if pinned is None:
            self.etag = tag if not headers else self.etag
            missing = set(filter(None, answer.headers.get("X-Missing-Months", "").split(",")))
            return self._of_months(snapshot, missing, answer.content)
        return ""

    def _of_months(self, snapshot: str, missing: set[str], body: bytes) -> str:
        if lost := sorted(self.served & missing):
            return f"{', '.join(lost)} was served before and is missing now"
        self.served |= {str(month) for month in self.months} - missing
        if snapshot in self.right:
            return ""
        records = orjson.loads(body)
        if words := self._compared(records, missing):
            return words
        self.right[snapshot] = len(records)
        return ""

    def _compared(self, records: list[dict[str, Any]], missing: set[str]) -> str:
        stamps = [record["date"] for record in records]
        hours = (
            hour for month in self.months if str(month) not in missing for hour in month.hours(self.series.timezone)
        )
        expected = [f"{hour:%Y-%m-%dT%H:%M:%SZ}" for hour in hours]
        if stamps != expected:
            odd = sorted(set(stamps) ^ set(expected))
            return f"{len(stamps)} records, not {len(expected)}: {odd[:3]}"
        for record in records:
            for name, value in self.truth.get(record["date"], {}).items():
                if not _equal(record[name], value):
                    return f"{record['date']} {name} is {record[name]}, not {value}"
        return ""


def _equal(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, abs_tol=1e-6)


def watch(base: str, watches: list[Watch]) -> Iterator[Verdict]:
    """Read without end, one series after another. A connection a read: a pool would hide a reader that came back."""
    while True:
        for each in watches:
            with httpx.Client(timeout=_TIMEOUT_S, headers={"Accept-Encoding": "identity"}) as client:
                yield each.read(client, base)


def main(arguments: list[str] | None = None) -> int:
    """Write a line of JSON for every read to standard output, until the process that started this one has ended."""
    parser = argparse.ArgumentParser(prog="python -m city_data_tests.chaos.watcher", description=__doc__)
    parser.add_argument("plan", type=Path, help="a file that `write_plan` wrote")
    parser.add_argument("--every", type=float, default=0.2, help="seconds between two reads")
    options = parser.parse_args(arguments)
    plan = json.loads(options.plan.read_text())
    months = [Month.parse(month) for month in plan["months"]]
    watches = [Watch(Series(**each["series"]), months, each["truth"]) for each in plan["series"]]
    parent = os.getppid()
    for verdict in watch(plan["base"], watches):
        sys.stdout.write(json.dumps(asdict(verdict)) + "\n")
        sys.stdout.flush()
        if os.getppid() != parent:
            return 0
        time.sleep(options.every)
    return 0


def write_plan(path: Path, base: str, months: list[Month], series: Mapping[Series, Truth]) -> None:
    listed = [{"series": asdict(each), "truth": truth} for each, truth in series.items()]
    path.write_text(json.dumps({"base": base, "months": [str(month) for month in months], "series": listed}))


if __name__ == "__main__":
    sys.exit(main())
