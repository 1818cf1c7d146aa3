"""Polls of live feeds in the raw archive, written by the collector, from which months are gathered.

Belongs here: storing and reading polls. Does not: when polls are made (operations/collector.py), their content
(providers/).

Beside a month's other raw files, so that they expire with it: `<sha256>.bin`, and one small `<at>.<outcome>.poll.json`
for every poll, the failed ones too. Files are never rewritten, so a restart or a second collector is harmless.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import pydantic

from city_data.payloads import Payload
from city_data.store.raw import Manifest, RawArchive, RawFile, stamp
from city_data.window import Month

STORED = "stored"
FROZEN = "frozen"
INDEX = "snapshots.json"
_SUFFIX = ".poll.json"


class Poll(pydantic.BaseModel):
    """One poll of one feed. `outcome` is `stored`, `frozen` (no new measurement), or a reason for an answer without
    data.

    `mark`, `newest` and `repeated`: see `Snapshot`. `file` has the bytes received, only where it was `stored`.
    """

    at: datetime
    provider: str
    outcome: str = pydantic.Field(pattern=r"^[a-z][a-z0-9_]*$")
    mark: str | None = None
    newest: datetime | None = None
    repeated: int = 0
    file: RawFile | None = None
    message: str | None = None


class PollArchive(RawArchive):
    """The raw archive, for fetched and for collected months."""

    def record(self, dataset: str, city_id: str, month: Month, poll: Poll, payload: Payload | None = None) -> Poll:
        """Store a poll's payload, then its record: a crash leaves a poll whole or absent."""
        folder = self._folder(dataset, city_id, month)
        self._fs.makedirs(folder, exist_ok=True)
        if payload is not None:
            poll = poll.model_copy(update={"file": self._store_file(folder, payload)})
        self._write(f"{folder}/{stamp(poll.at)}.{poll.outcome}{_SUFFIX}", poll.model_dump_json().encode())
        return poll

    def polls(self, dataset: str, city_id: str, month: Month) -> dict[str, int]:
        """The number of polls of a month, by outcome."""
        paths = self._fs.glob(f"{self._folder(dataset, city_id, month)}/*{_SUFFIX}")
        return dict(sorted(Counter(str(path).removesuffix(_SUFFIX).rpartition(".")[2] for path in paths).items()))

    def last_stored(self, dataset: str, city_id: str, provider: str) -> Poll | None:
        """The newest poll with data, of any month; None where there is none yet."""
        for month in reversed(self.months(dataset, city_id)):
            for path in reversed(self._stored(dataset, city_id, month)):
                poll = self._parsed(Poll, path)
                if poll is not None and poll.provider == provider:
                    return poll
        return None

    def gather(
        self, dataset: str, city_id: str, month: Month, provider: str, at: datetime, fallback_reason: str | None = None
    ) -> Manifest | None:
        """Write the month's manifest of its stored polls; None where there are none.

        It names one index of them: a month has thousands, too many to list in ledger and events.
        """
        files = [
            poll.file
            for poll in self._read(self._stored(dataset, city_id, month))
            if poll.file is not None and poll.provider == provider
        ]
        if not files:
            return None
        with tempfile.TemporaryDirectory(prefix="city_data-") as folder:
            path = Path(folder) / INDEX
            path.write_text(json.dumps([file.model_dump() for file in files]))
            index = Payload(INDEX, path, files[-1].url, origin=files[-1].origin)
            polls = self.polls(dataset, city_id, month)
            return self.store(
                dataset, city_id, month, provider, [index], at, polls=polls, fallback_reason=fallback_reason
            )

    def payloads(self, manifest: Manifest, into: Path) -> list[Payload]:
        """As `RawArchive.payloads`; of a collected month its polls' payloads, oldest first."""
        if manifest.polls is None:
            return super().payloads(manifest, into)
        (index,) = super().payloads(manifest, into)
        files = [RawFile.model_validate(entry) for entry in json.loads(index.path.read_bytes())]
        folder = self._folder(manifest.dataset, manifest.city_id, Month.parse(manifest.month))
        return [self._payload(folder, file, into) for file in files]

    def _stored(self, dataset: str, city_id: str, month: Month) -> list[str]:
        return sorted(self._fs.glob(f"{self._folder(dataset, city_id, month)}/*.{STORED}{_SUFFIX}"))

    def _read(self, paths: list[str]) -> Iterable[Poll]:
        """In one call, which remote file systems run concurrently."""
        bodies = self._fs.cat(paths) if paths else {}
        return [Poll.model_validate_json(bodies[path]) for path in sorted(bodies)]
