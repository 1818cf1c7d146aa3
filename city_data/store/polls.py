"""Polls of live feeds in the raw archive, written by the collector, from which months are gathered.

Belongs here: storing and reading polls. Does not: when polls are made (operations/collector.py), their content
(providers/).

Beside a month's other raw files, so that they expire with it: `<sha256>.bin`, and one small `<at>.<outcome>.poll.json`
for every poll, the failed ones too. Files are never rewritten, so a restart or a second collector is harmless.

A poll cannot be made again. One whose record or bytes are damaged, by a failing disk or by hand, is left out of its
month and counted, so that the month's other polls are not lost with it.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from datetime import datetime
from pathlib import Path

import pydantic

from city_data.payloads import Payload
from city_data.store.raw import ArchiveError, Manifest, RawArchive, RawFile, stamp
from city_data.window import Month

STORED = "stored"
FROZEN = "frozen"
DAMAGED = "damaged"
INDEX = "snapshots.json"
_SUFFIX = ".poll.json"
_NAME = re.compile(rf"\d{{8}}T\d{{12}}Z\.(?P<outcome>[a-z][a-z0-9_]*){re.escape(_SUFFIX)}")


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
        """The number of polls of a month, by the outcome in their names; `damaged` for any other name."""
        paths = self._fs.glob(f"{self._folder(dataset, city_id, month)}/*{_SUFFIX}")
        return dict(sorted(Counter(map(_outcome, paths)).items()))

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

        It names one index of them: a month has thousands, too many to list in ledger and events. Damaged records are
        left out, and counted as `damaged`. Raises ArchiveError where all are: such a month is not one without data.
        """
        paths = self._stored(dataset, city_id, month)
        records = self._records(paths)
        files = [poll.file for poll in records if poll.file is not None and poll.provider == provider]
        damaged = len(paths) - len(records)
        if not files:
            if paths and damaged == len(paths):
                raise ArchiveError(f"{paths[0]} is damaged, as is every record of a stored poll of the month")
            return None
        with tempfile.TemporaryDirectory(prefix="city_data-") as folder:
            path = Path(folder) / INDEX
            path.write_text(json.dumps([file.model_dump() for file in files]))
            index = Payload(INDEX, path, files[-1].url, origin=files[-1].origin)
            counts = Counter(self.polls(dataset, city_id, month)) + Counter({DAMAGED: damaged})
            counts[STORED] -= damaged
            polls = dict(sorted(counts.items()))
            return self.store(
                dataset, city_id, month, provider, [index], at, polls=polls, fallback_reason=fallback_reason
            )

    def payloads(self, manifest: Manifest, into: Path) -> list[Payload]:
        """As `RawArchive.payloads`; of a collected month its polls' payloads, oldest first. A poll whose bytes are gone
        or changed has an empty one, which the provider rejects and counts."""
        if manifest.polls is None:
            return super().payloads(manifest, into)
        (index,) = super().payloads(manifest, into)
        files = [RawFile.model_validate(entry) for entry in json.loads(index.path.read_bytes())]
        folder = self._folder(manifest.dataset, manifest.city_id, Month.parse(manifest.month))
        return [self._poll_payload(folder, file, into) for file in files]

    def _poll_payload(self, folder: str, file: RawFile, into: Path) -> Payload:
        try:
            return self._payload(folder, file, into)
        except ArchiveError as error:
            import structlog

            structlog.get_logger(__name__).warning("damaged poll in the raw archive", why=str(error))
            empty = into / f"{file.sha256}.damaged"
            empty.touch()
            return Payload(file.name, empty, file.url, file.params, file.media_type, origin=file.origin)

    def _stored(self, dataset: str, city_id: str, month: Month) -> list[str]:
        paths = self._fs.glob(f"{self._folder(dataset, city_id, month)}/*.{STORED}{_SUFFIX}")
        return sorted(path for path in paths if _outcome(path) == STORED)

    def _records(self, paths: list[str]) -> list[Poll]:
        """The whole records. All are read in one call, which remote file systems run concurrently."""
        bodies = self._fs.cat(paths) if paths else {}
        polls = (self._parsed(Poll, path, bodies[path]) for path in sorted(bodies))
        return [poll for poll in polls if poll is not None and poll.file is not None]


def _outcome(path: str) -> str:
    named = _NAME.fullmatch(str(path).rpartition("/")[2])
    return named["outcome"] if named else DAMAGED
