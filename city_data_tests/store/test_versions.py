"""Versions: immutable, created only by a change, sufficient to restore the month, and cheap to keep."""

from __future__ import annotations

import json
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pandas as pd
import psycopg
import pyarrow as pa
import pytest
from alembic import command

from city_data.datasets import DATASETS, TRAFFIC, DatasetName
from city_data.frames import canonical
from city_data.providers.base import Payload
from city_data.store import migrate
from city_data.store.database import Database
from city_data.store.ledger import read_states, record_state
from city_data.store.months import replace_month
from city_data.store.partitions import drop_month
from city_data.store.raw import RawArchive
from city_data.store.segments import read_segments
from city_data.store.series import read_series
from city_data.store.versions import Key, NoSuchVersion, decode_frame, read_entries, read_frames, read_versions
from city_data_tests.store.loads import END, MONTH, NOON, START, month_load, scalar, traffic


def stored_tables(database: Database, name: DatasetName, keys: list[Key]) -> dict[Key, pa.Table]:
    frames = read_frames(database, name, "madrid", keys)
    return {key: decode_frame(frame, DATASETS[name]) for key, frame in frames.items()}


def stored_frame(database: Database, version: int) -> pd.DataFrame:
    """As `read_series` gives the month."""
    rows = stored_tables(database, "traffic", [(MONTH, version)])[MONTH, version].to_pydict()
    frame = pd.DataFrame(rows, dtype=object)
    for name in ("date", "created_at", "updated_at"):
        frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
    frame["raw_data"] = [None if text is None else json.loads(text) for text in rows["raw_data"]]
    moments = {name: frame[name] for name in ("created_at", "updated_at")}
    return canonical.canonical_frame(frame, TRAFFIC).assign(**moments)


def test_every_version_restores_its_month_and_the_newest_equals_the_table(database: Database) -> None:
    rows = []
    for number in range(3):
        replace_month(database, month_load(number))
        rows.append(read_series(database, "traffic", "madrid", START, END))
    for number, expected in enumerate(rows):
        pd.testing.assert_frame_equal(stored_frame(database, number + 1), expected)
    (table,) = stored_tables(database, "traffic", [(MONTH, 2)]).values()
    assert table.schema.field("date").type == pa.timestamp("us", tz="UTC")
    assert table.schema.field("traffic_volume").type == pa.float64()
    assert table.column("average_speed").null_count == 1
    assert table.column("raw_data")[0].as_py() == '{"note":"tab\\t\\"line\\n\\\\"}'


def test_empty_month_and_rows_without_raw_data_are_restored(database: Database) -> None:
    replace_month(database, month_load(0, frame=traffic(0).drop(columns="raw_data")))
    replace_month(database, month_load(1, frame=traffic(1).iloc[:0]))
    assert stored_frame(database, 1)["raw_data"].isna().all()
    assert stored_frame(database, 2).empty
    assert list(stored_frame(database, 2).columns) == list(stored_frame(database, 1).columns)


def test_missing_versions_are_named_in_the_error(database: Database) -> None:
    replace_month(database, month_load())
    assert read_frames(database, "traffic", "madrid", []) == {}
    with pytest.raises(NoSuchVersion, match="traffic/madrid: not kept: 2026-08 version 7, 2026-09 version 1"):
        read_frames(database, "traffic", "madrid", [(MONTH, 1), (MONTH, 7), (MONTH + 1, 1)])


def test_version_stores_the_ledger_entry_of_its_load(database: Database) -> None:
    first = replace_month(database, month_load(0)).entry
    second = replace_month(database, month_load(1, raw_files=[{"name": "b.zip", "sha256": "01"}])).entry
    later = NOON + timedelta(days=2)
    replace_month(database, month_load(1, state="settled", at=later, fetched_at=later, run_id="again"))
    assert read_entries(database, "traffic", "madrid", MONTH) == [first, second]
    versions = read_versions(database, "traffic", "madrid")
    assert [(v.month, v.version, v.loaded_at, v.rows, v.coverage) for v in versions] == [
        (MONTH, 1, NOON, 744, 1.0),
        (MONTH, 2, NOON + timedelta(hours=1), 744, 1.0),
    ]
    assert [v.content_sha256 for v in versions] == [first.content_sha256, second.content_sha256]


def test_old_versions_are_deleted_and_the_first_created_at_stays(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CITY_DATA_KEEP_VERSIONS", "2")
    for number in range(4):
        replace_month(database, month_load(number))
    replace_month(database, month_load(0, city_id="rome"))
    assert [version.version for version in read_versions(database, "traffic", "madrid")] == [3, 4]
    assert set(stored_frame(database, 4)["created_at"]) == {pd.Timestamp(NOON)}
    assert [version.version for version in read_versions(database, "traffic", "rome")] == [1]


@pytest.mark.parametrize("text", ["0", "-1", "many"])
def test_a_wrong_number_of_versions_is_named_and_changes_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    replace_month(database, month_load(0))
    monkeypatch.setenv("CITY_DATA_KEEP_VERSIONS", text)
    with pytest.raises(ValueError, match="CITY_DATA_KEEP_VERSIONS"):
        replace_month(database, month_load(1))
    assert [version.version for version in read_versions(database, "traffic", "madrid")] == [1]


def test_state_history_is_stored_until_the_month_expires(database: Database) -> None:
    def record(state: str, hours: int) -> None:
        at = NOON + timedelta(hours=hours)
        record_state(database, "madrid", "traffic", MONTH, state, at=at, message="why")  # type: ignore[arg-type]

    record("not_yet_published", -3)
    record("not_yet_published", -2)
    record("failed", -1)
    replace_month(database, month_load(0))
    record("failed", 1)
    replace_month(database, month_load(2))
    replace_month(database, month_load(3, state="settled"))
    history = read_states(database, "madrid", "traffic", MONTH)
    assert [
        (change.state, (change.at - NOON) / timedelta(hours=1), change.version, change.reason) for change in history
    ] == [
        ("not_yet_published", -3, None, "why"),
        ("failed", -1, None, "why"),
        ("provisional", 0, 1, None),
        ("settled", 3, 3, None),
    ]
    drop_month(database, MONTH)
    assert read_states(database, "madrid", "traffic", MONTH) == []
    assert read_versions(database, "traffic", "madrid") == []


def test_migration_from_the_first_schema_keeps_the_current_version(database: Database, database_url: str) -> None:
    replace_month(database, month_load(0))
    newest = replace_month(database, month_load(1))
    empty = replace_month(database, month_load(1, month=MONTH + 1, frame=traffic(1, MONTH + 1).iloc[:0]))
    days = pd.DataFrame({"date": pd.DatetimeIndex([START]), "temperature": 31.5, "description": "dry", "source": "x"})
    replace_month(database, month_load(2, dataset="weather", frame=days))
    expected, body = stored_frame(database, 2), read_segments(database, "traffic", "madrid", [(MONTH, 2)])
    wanted: dict[DatasetName, list[Key]] = {
        "traffic": [(MONTH, 2), (MONTH + 1, 1)],
        "weather": [(MONTH, 1)],
    }
    stored = [stored_tables(database, name, keys) for name, keys in wanted.items()]
    with database.write() as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
    migrate.upgrade(database)
    assert stored == [stored_tables(database, name, keys) for name, keys in wanted.items()]
    assert [len(tables) for tables in stored] == [2, 1]
    assert read_entries(database, "traffic", "madrid", MONTH + 1) == [empty.entry]
    # What earlier versions were loaded at is not known to a schema that kept but one moment a month.
    pd.testing.assert_frame_equal(stored_frame(database, 2), expected)
    assert read_segments(database, "traffic", "madrid", [(MONTH, 2)]) == body
    assert read_entries(database, "traffic", "madrid", MONTH) == [newest.entry]
    assert [change.version for change in read_states(database, "madrid", "traffic", MONTH)] == [2]
    assert scalar(database_url, "SELECT count(*) FROM month_version") == 3


@pytest.fixture
def archive(tmp_path: Path) -> RawArchive:
    return RawArchive(str(tmp_path / "raw"))


def sizes(url: str, folder: Path) -> tuple[int, int]:
    """Bytes of all tables with their indexes and long values, vacuumed; bytes of the raw archive."""
    query = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r'"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM")
        row = connection.execute(f"{query} AND relnamespace = 'public'::regnamespace".encode()).fetchone()
    assert row is not None
    return int(row[0]), sum(file.stat().st_size for file in (folder / "raw").rglob("*") if file.is_file())


def test_ten_refreshes_of_24_unchanged_months_take_less_than_one_percent(
    database: Database, database_url: str, archive: RawArchive, tmp_path: Path
) -> None:
    months = list((MONTH - 24).until(MONTH))
    file = tmp_path / "received"
    # Too long for its row, and for PostgreSQL to make short: written anew, it would add to the table.
    stations = [{"id": str(n), "name": sha256(b"%d" % n).hexdigest(), "distance_km": n / 7} for n in range(60)]

    def refresh(number: int) -> None:
        at = NOON + timedelta(days=number)
        for position, month in enumerate(months):
            file.write_bytes(b"%d" % position * 10_000)  # far less than any source sends for a month
            manifest = archive.store(
                "traffic", "madrid", month, "p", [Payload("a.zip", file, "https://example.org/a")], at
            )
            known = {"at": at, "fetched_at": at, "run_id": f"{number:036d}", "provenance": {"stations": stations}}
            files = [raw.model_dump() for raw in manifest.files]
            replace_month(database, month_load(frame=traffic(1, month), month=month, raw_files=files, **known))

    refresh(0)
    tables, raw = sizes(database_url, tmp_path)
    for number in range(1, 11):
        refresh(number)
    tables_after, raw_after = sizes(database_url, tmp_path)
    assert scalar(database_url, "SELECT count(*) FROM month_version") == 24
    assert archive.latest("traffic", "madrid", months[0]).fetched_at == NOON + timedelta(days=10)
    assert (tables_after - tables) / tables < 0.01
    assert (raw_after - raw) / raw < 0.01
