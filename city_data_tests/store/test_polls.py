"""The archive of polls: damaged records and bytes cost their own poll only, and are counted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pytest

from city_data.payloads import Payload
from city_data.store.polls import DAMAGED, STORED, Poll, PollArchive
from city_data.store.raw import ArchiveError
from city_data.window import Month

NOON = datetime(2026, 9, 1, 10, tzinfo=UTC)
SEPTEMBER = ("traffic", "valencia", Month(2026, 9))
TIMES = [NOON + timedelta(minutes=10 * n) for n in range(3)]


@pytest.fixture(params=["folder", "memory"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PollArchive]:
    """Three stored polls and a failed one."""
    url = str(tmp_path / "raw") if request.param == "folder" else f"memory://{tmp_path.name}"
    made = PollArchive(url)
    for number, at in enumerate(TIMES):
        body = tmp_path / "received"
        body.write_bytes(b"%d" % number)
        payload = Payload(f"{number}.json", body, "https://example.org/")
        made.record(*SEPTEMBER, Poll(at=at, provider="p", outcome=STORED, mark=str(number)), payload)
    made.record(*SEPTEMBER, Poll(at=NOON + timedelta(hours=1), provider="p", outcome="empty"))
    yield made
    made.drop(*SEPTEMBER)


def folder_of(archive: PollArchive) -> fsspec.FSMap:
    return archive._fs.get_mapper(archive._folder(*SEPTEMBER))


def record_of(archive: PollArchive, number: int) -> str:
    return sorted(name for name in folder_of(archive) if name.endswith(".stored.poll.json"))[number]


def without_file(record: bytes) -> bytes:
    return json.dumps({**json.loads(record), "file": None}).encode()


DAMAGES = {
    "torn": lambda record: record[: len(record) // 2],
    "empty": lambda record: b"",
    "zeroed": lambda record: b"\0" * len(record),
    "foreign": lambda record: b"<html></html>",
    "another document": lambda record: b'{"name": "x"}',
    "without its file": without_file,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_record_is_left_out_of_its_month_and_counted(archive: PollArchive, damage: str, tmp_path: Path) -> None:
    name = record_of(archive, 1)
    folder_of(archive)[name] = DAMAGES[damage](folder_of(archive)[name])
    manifest = archive.gather(*SEPTEMBER, "p", NOON)
    assert manifest is not None
    assert manifest.polls == {DAMAGED: 1, "empty": 1, STORED: 2}
    assert [payload.path.read_bytes() for payload in archive.payloads(manifest, tmp_path)] == [b"0", b"2"]


def test_month_of_damaged_records_alone_is_an_error_that_names_one(archive: PollArchive) -> None:
    for number in range(3):
        folder_of(archive)[record_of(archive, number)] = b"{"
    with pytest.raises(ArchiveError, match=r"20260901T100000000000Z\.stored\.poll\.json is damaged, as is every"):
        archive.gather(*SEPTEMBER, "p", NOON)


@pytest.mark.parametrize("name", ["notes.poll.json", "copy.stored.poll.json", "20260901T100000000000Z.No!.poll.json"])
def test_foreign_name_is_counted_as_damaged_and_never_read(archive: PollArchive, name: str, tmp_path: Path) -> None:
    folder_of(archive)[name] = folder_of(archive)[record_of(archive, 0)]
    assert archive.polls(*SEPTEMBER) == {DAMAGED: 1, "empty": 1, STORED: 3}
    manifest = archive.gather(*SEPTEMBER, "p", NOON)
    assert manifest is not None
    assert manifest.polls == archive.polls(*SEPTEMBER)
    assert len(archive.payloads(manifest, tmp_path)) == 3
    assert archive.last_stored("traffic", "valencia", "p") is not None


@pytest.mark.parametrize("damage", ["gone", "torn"])
def test_poll_whose_bytes_are_gone_or_changed_reads_as_empty(archive: PollArchive, damage: str, tmp_path: Path) -> None:
    manifest = archive.gather(*SEPTEMBER, "p", NOON)
    assert manifest is not None
    stored = archive.payloads(manifest, tmp_path)[1]
    (name,) = [name for name, body in folder_of(archive).items() if body == b"1"]
    if damage == "gone":
        del folder_of(archive)[name]
    else:
        folder_of(archive)[name] = b""
    (tmp_path / "again").mkdir()
    again = archive.payloads(manifest, tmp_path / "again")
    assert [payload.path.read_bytes() for payload in again] == [b"0", b"", b"2"]
    assert (again[1].name, again[1].url) == (stored.name, stored.url)
