"""How a backfill ends: Dagster's own daemon and webserver, and runs in processes of their own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO

import dagster as dg
import pytest
import uvicorn
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.definitions.timestamp import TimestampWithTimezone
from dagster._core.execution.asset_backfill import AssetBackfillData
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster_webserver.app import create_app_from_workspace_process_context
from rich.console import Console

from city_data.cli import cluster_backfill
from city_data.defs.backfills import ended_as_its_runs, is_called_failed
from city_data.local.embedded import free_port
from city_data.operations.backfill_metrics import BackfillCollector
from city_data.window import Month
from city_data_tests.world import World


@contextmanager
def dagster(world: World) -> Iterator[str]:
    """The webserver's address, while backfills and the queue go round in a thread, as in a daemon."""
    module = ModuleTarget("city_data.definitions", None, None, "city_data")
    with create_test_daemon_workspace_context(module, world.instance) as workspace, serving(workspace) as address:
        over = threading.Event()
        loop = threading.Thread(target=go_round, args=(workspace, over))
        loop.start()
        try:
            yield address
        finally:
            over.set()
            loop.join()


def go_round(workspace: WorkspaceProcessContext, over: threading.Event) -> None:
    queued = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])
    while not over.wait(0.2):
        list(execute_backfill_iteration(workspace, logging.getLogger("daemon")))
        for waiting in workspace.instance.get_runs(queued):
            workspace.instance.launch_run(waiting.run_id, workspace.create_request_context())


@contextmanager
def serving(workspace: WorkspaceProcessContext) -> Iterator[str]:
    port = free_port()
    app = create_app_from_workspace_process_context(workspace)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.filterwarnings("default")  # as in a daemon: Dagster warns of its own calls
def test_backfill_of_a_month_that_its_source_never_had_succeeds_and_names_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `city-data backfill --cluster` ends it. The run is a success, without anything materialized."""
    monkeypatch.setattr(cluster_backfill, "POLL_S", 0.2)
    world.enable("valencia")
    feed, printed = world.feed("traffic", "valencia"), StringIO()
    with dagster(world) as address:
        failed = cluster_backfill.run_cluster_backfill(
            Console(file=printed, width=200), address, [feed], [Month(2026, 9)], wait=True
        )
    assert failed == []
    assert "COMPLETED_SUCCESS" in printed.getvalue()
    assert "not available: traffic/valencia 2026-09: " in printed.getvalue()
    (backfill,) = world.instance.get_backfills()
    assert backfill.status == BulkActionStatus.COMPLETED_SUCCESS


def test_failure_is_exported_with_its_time_and_a_success_is_not(instance: dg.DagsterInstance) -> None:
    collector = BackfillCollector(instance)
    assert exported(collector) == 0.0
    instance.add_backfill(ended(BulkActionStatus.COMPLETED_SUCCESS)._replace(backfill_id="a"))
    assert exported(collector) == 0.0
    instance.add_backfill(ended(BulkActionStatus.FAILED)._replace(backfill_id="b", backfill_timestamp=100.0))
    instance.add_backfill(ended()._replace(backfill_id="c", backfill_timestamp=50.0, backfill_end_timestamp=200.0))
    assert exported(collector) == 200.0


def exported(collector: BackfillCollector) -> float:
    (family,) = collector.collect()
    return float(family.samples[0].value)


ASSET = dg.AssetKey("asset")
SUCCESS, FAILURE, CANCELED = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED


def ended(status: BulkActionStatus = BulkActionStatus.COMPLETED_FAILED, requested: bool = True) -> PartitionBackfill:
    """A backfill of one asset without partitions."""
    target, nothing = AssetGraphSubset(non_partitioned_asset_keys={ASSET}), AssetGraphSubset()
    data = AssetBackfillData(
        target_subset=target,
        requested_runs_for_target_roots=requested,
        latest_storage_id=None,
        materialized_subset=nothing,
        requested_subset=target if requested else nothing,
        failed_and_downstream_subset=nothing,
        backfill_start_time=TimestampWithTimezone(0.0, "UTC"),
    )
    return PartitionBackfill("backfill", status, False, {}, 0.0, asset_backfill_data=data)


def run(status: dg.DagsterRunStatus, run_id: str, root: str | None = None) -> dg.DagsterRun:
    return dg.DagsterRun("job", run_id=run_id, status=status, root_run_id=root, parent_run_id=root)


@pytest.mark.parametrize(
    ("runs", "status"),
    [
        ([run(SUCCESS, "a"), run(SUCCESS, "b")], BulkActionStatus.COMPLETED_SUCCESS),
        ([run(FAILURE, "a"), run(SUCCESS, "b", root="a")], BulkActionStatus.COMPLETED_SUCCESS),
        ([run(FAILURE, "a"), run(SUCCESS, "b")], BulkActionStatus.COMPLETED_FAILED),
        ([run(SUCCESS, "a"), run(CANCELED, "b")], BulkActionStatus.COMPLETED_FAILED),
        ([run(SUCCESS, "a"), run(FAILURE, "b"), run(FAILURE, "c", root="b")], BulkActionStatus.COMPLETED_FAILED),
        ([], BulkActionStatus.COMPLETED_FAILED),
    ],
)
def test_failed_backfill_is_a_success_where_each_run_or_a_retry_of_it_succeeded(
    runs: list[dg.DagsterRun], status: BulkActionStatus
) -> None:
    assert ended_as_its_runs(ended(), runs).status == status


def test_backfill_given_up_before_all_its_months_were_requested_stays_failed() -> None:
    assert not is_called_failed(ended(BulkActionStatus.FAILED, requested=False))
    assert is_called_failed(ended(BulkActionStatus.FAILED))
    assert not is_called_failed(ended(BulkActionStatus.CANCELED))
