"""Former asset keys, such as `raw/weather/madrid`, in Dagster's database: renamed, with their history.

Belongs here: the renaming in every table that names an asset, and the end of runs and backfills that cannot go on under
a new name. Does not: the keys of now (defs/keys.py).
An asset's materializations, checks and observations are found by its key, which their events repeat: without this,
every month would look as if it had never been loaded. Step keys stay: a run is shown with the plan it was made with.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg
import sqlalchemy as sa
from dagster._core.definitions.data_version import INPUT_DATA_VERSION_TAG_PREFIX, INPUT_EVENT_POINTER_TAG_PREFIX
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES, BulkActionsFilter, BulkActionStatus
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    AssetKeyTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.runs.schema import BulkActionsTable, RunsTable

from city_data.datasets import DATASETS
from city_data.defs.keys import FORMER_MONTHS_JOB, STEPS

_PARTS = (f"({'|'.join(STEPS)})", f"({'|'.join(DATASETS)})", "([a-z][a-z0-9_]*)")
# As Dagster writes a key in JSON, and in the tags of a materialization that name what it was made from.
_JSON = r'\["{}", "{}", "{}"\]'.format(*_PARTS)
_TAG = "({}|{})/{}/{}/{}".format(INPUT_DATA_VERSION_TAG_PREFIX, INPUT_EVENT_POINTER_TAG_PREFIX, *_PARTS)
_KEY = AssetKeyTable.c.asset_key
_UNFINISHED = [status for status in BulkActionStatus if status not in BULK_ACTION_TERMINAL_STATUSES]
_WHY = "The plan of this run names a job or steps that no longer exist. Its month is requested again daily."


def rename_assets(instance: dg.DagsterInstance, report: Callable[[str], None]) -> None:
    """Rename the assets, and cancel the queued runs and unfinished backfills of former names. Repeating it is safe.

    What an older process still writes under a former name is moved by the next call.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return
    runs, backfills = _cancel_runs(instance), _cancel_backfills(instance)
    with storage.index_transaction() as connection:
        moved = _rename(connection)
    if moved:
        report(
            f"{moved} assets renamed in Dagster, as from raw/weather/madrid to madrid/weather_raw, with their history"
        )
    if runs or backfills:
        report(
            f"canceled {runs} queued runs and {backfills} unfinished backfills of a former job or former names of "
            "assets: the daily refresh requests their months again, and `city-data backfill --due` at once"
        )


def _cancel_runs(instance: dg.DagsterInstance) -> int:
    queued = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
    former = [
        run for run in queued if run.job_name == FORMER_MONTHS_JOB or any(map(_is_former, run.asset_selection or ()))
    ]
    for run in former:
        instance.report_run_canceled(run, _WHY)
    return len(former)


def _cancel_backfills(instance: dg.DagsterInstance) -> int:
    unfinished = instance.get_backfills(filters=BulkActionsFilter(statuses=_UNFINISHED))
    former = [backfill for backfill in unfinished if any(map(_is_former, backfill.asset_selection or ()))]
    for backfill in former:
        ended = backfill.with_end_timestamp(datetime.now(UTC).timestamp())
        instance.update_backfill(ended.with_status(BulkActionStatus.CANCELED))  # type: ignore[no-untyped-call]
    return len(former)


def _is_former(key: dg.AssetKey) -> bool:
    return re.fullmatch(_JSON, key.to_string()) is not None


def _rename(connection: sa.Connection) -> int:
    """The number of assets that were renamed."""
    former = connection.execute(sa.select(_KEY).where(_KEY.regexp_match(f"^{_JSON}$"))).scalars().all()
    if not former:
        return 0
    _drop_older_of_pairs(connection)
    for table, texts, chosen in (
        (SqlEventLogStorageTable, ("asset_key", "event"), SqlEventLogStorageTable.c.asset_key.in_(former)),
        (AssetEventTagsTable, ("asset_key", "key"), AssetEventTagsTable.c.asset_key.in_(former)),
        (
            AssetCheckExecutionsTable,
            ("asset_key", "evaluation_event"),
            AssetCheckExecutionsTable.c.asset_key.in_(former),
        ),
        (AssetKeyTable, ("asset_key", "last_materialization"), _KEY.in_(former)),
        (RunsTable, ("run_body",), RunsTable.c.run_body.regexp_match(_JSON)),
        (BulkActionsTable, ("body",), BulkActionsTable.c.body.regexp_match(_JSON)),
    ):
        values = {name: _renamed(table.c[name]) for name in texts}
        connection.execute(sa.update(table).where(chosen).values(values))
    # Built from the events when needed, up to the newest one that it has seen: moved events are older.
    connection.execute(sa.update(AssetKeyTable).values(cached_status_data=None))
    return len(former)


def _drop_older_of_pairs(connection: sa.Connection) -> None:
    """Where both names are in use, the row of the newer event stays: it describes the asset's last one."""
    other = AssetKeyTable.alias()
    own, others = (
        sa.tuple_(sa.func.coalesce(table.c.last_materialization_timestamp, sa.func.to_timestamp(0)), table.c.id)
        for table in (AssetKeyTable, other)
    )
    newer = sa.exists().where(_renamed(_KEY) == _renamed(other.c.asset_key), own < others)
    connection.execute(sa.delete(AssetKeyTable).where(newer))


def _renamed(column: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    tags = sa.func.regexp_replace(column, _TAG, r"\1/\4/\3_\2", "g")
    return sa.func.regexp_replace(tags, _JSON, r'["\3", "\2_\1"]', "g")
