"""Slack notices: failed runs and monthly rotations, without secrets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._utils.error import SerializableErrorInfo

from city_data.definitions import defs
from city_data.defs import notifications
from city_data.defs.keys import MONTHS_JOB, STEPS, asset_key
from city_data.defs.notifications import (
    NoticeFailed,
    post_to_slack,
    rotation,
    rotation_text,
)
from city_data.defs.retention import EXPIRE_JOB
from city_data.store.ledger import read_months, record_state
from city_data.window import Month
from city_data_tests.defs.slack import Slack, serving, tick
from city_data_tests.world import World

DECEMBER = datetime(2026, 12, 12, 9, tzinfo=UTC)


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slack]:
    with serving() as (server, address):
        monkeypatch.setenv("SLACK_WEBHOOK_URL", address)
        yield server


def test_failed_run_is_reported_with_its_reason_and_a_link_without_secrets(
    world: World, slack: Slack, no_waiting: None
) -> None:
    _, cursor = tick(world, "failure_notice", None)
    world.monkeypatch.setenv("AEMET_API_KEY", "canary-key")
    world.monkeypatch.setenv("DAGSTER_WEBSERVER_URL", "https://dagster.example/")
    world.sandbox.faults.order("/diarios/", status=401, body="canary-key refused")
    (done,) = world.load("weather", "2026-09")
    reason, cursor = tick(world, "failure_notice", cursor)
    assert reason == "1 reported"
    (message,) = slack.messages
    assert message.startswith(
        "city_data: weather of madrid, 2026-09 failed: aemet: madrid 2026-09: the key was refused"
    )
    assert message.endswith(f"https://dagster.example/runs/{done.run_id}")
    assert "canary" not in message
    assert tick(world, "failure_notice", cursor) == ("0 reported", cursor)


def test_every_notice_that_slack_refused_is_taken_exactly_once(
    world: World, slack: Slack, no_waiting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "SLACK_TIMEOUT_S", 0.5)
    _, cursor = tick(world, "failure_notice", None)
    world.sandbox.faults.order("/diarios/", status=503)
    world.load("weather", "2026-07", "2026-08", "2026-09")
    slack.answers = [500, 200, None, 429]  # errs, takes one, hangs, is asked too often
    reasons = []
    for _ in range(5):
        reason, cursor = tick(world, "failure_notice", cursor)
        reasons.append(reason.partition(":")[0])
    again = "reported; the next one is tried again"
    assert reasons == [f"0 {again}", f"1 {again}", f"0 {again}", "2 reported", "0 reported"]
    assert [message.split()[4] for message in slack.messages] == ["2026-07", "2026-08", "2026-09"]
    assert len(slack.tried) == 3 + 3


def test_failed_runs_before_the_first_tick_are_not_reported(world: World, slack: Slack, no_waiting: None) -> None:
    world.sandbox.faults.order("/diarios/", status=403)
    world.load("weather", "2026-09")
    _, cursor = tick(world, "failure_notice", None)
    assert tick(world, "failure_notice", cursor)[0] == "0 reported"
    assert slack.messages == []


def test_backfill_that_dagster_gave_up_is_reported_once_with_its_reason(world: World, slack: Slack) -> None:
    _, cursor = tick(world, "backfill_notice", None)
    reason = SerializableErrorInfo("Asset weather/madrid no longer loads\n", [], "DagsterAssetBackfillDataLoadError")
    for number, status in enumerate((BulkActionStatus.FAILED, BulkActionStatus.COMPLETED_FAILED)):
        world.instance.add_backfill(
            PartitionBackfill(
                backfill_id=f"backfill{number}",
                status=status,
                from_failure=False,
                tags={},
                backfill_timestamp=time.time(),
                title="city-data backfill 2026-08 to 2026-09",
                error=reason,
                serialized_asset_backfill_data="{}",
            )
        )
    slack.answers = [500]
    refused, cursor = tick(world, "backfill_notice", cursor)
    assert refused.startswith("0 reported; the next one is tried again")
    reported, cursor = tick(world, "backfill_notice", cursor)
    assert (reported, tick(world, "backfill_notice", cursor)[0]) == ("1 reported", "0 reported")
    (message,) = slack.messages
    title = "backfill0 (city-data backfill 2026-08 to 2026-09)"
    assert message == f"city_data: backfill {title} failed: Asset weather/madrid no longer loads"


def test_failed_run_without_a_webhook_is_skipped(world: World) -> None:
    world.monkeypatch.delenv("SLACK_WEBHOOK_URL", raising=False)
    reason, _ = tick(world, "failure_notice", None)
    assert "SLACK_WEBHOOK_URL" in reason


def test_error_of_a_run_that_gave_up_is_the_source_s(world: World, no_waiting: None) -> None:
    world.sandbox.faults.order("/diarios/", status=503)
    (done,) = world.load("weather", "2026-09")
    assert "answered 503" in str(done.error)
    assert "max_retries" not in str(done.error)


def test_new_home_raises_no_alarm_for_the_rotation_before_it(world: World, slack: Slack) -> None:
    world.monkeypatch.setenv("ENABLED_CITIES", "madrid")
    started = datetime(2026, 12, 20, 9, tzinfo=UTC)
    world.at(started)
    assert "newer than the rotation of 2026-11" in summary(world)[0]
    world.load("weather", "2026-09")
    assert "newer than the rotation of 2026-11" in summary(world)[0]
    assert slack.tried == []


def test_rotation_reported_as_incomplete_is_reported_again_when_whole(world: World, slack: Slack) -> None:
    world.monkeypatch.setenv("ENABLED_CITIES", "madrid")
    world.load("weather", "2026-09")
    world.at(DECEMBER + timedelta(days=7))
    world.load("weather", "2026-11")
    slack.answers = [500]
    reason, cursor = summary(world)
    assert "not reported yet" in reason
    _, cursor = summary(world, cursor)
    assert "still missing: traffic/madrid" in slack.messages[-1]
    assert "still is" in summary(world, cursor)[0]
    world.load("traffic", "2026-11")
    _, cursor = summary(world, cursor)
    assert "2 of 2 months added" in slack.messages[-1]
    assert len(slack.messages) == 2
    assert "already reported" in summary(world, cursor)[0]


def summary(world: World, cursor: str | None = None) -> tuple[str, str | None]:
    return tick(world, "rotation_summary", cursor)


def test_complete_rotation_is_reported_to_slack_once(world: World, slack: Slack) -> None:
    world.monkeypatch.setenv("ENABLED_CITIES", "madrid")
    world.load("weather", "2024-11")
    world.at(DECEMBER)
    world.load("weather", "2026-11")
    reason, cursor = summary(world)
    assert "traffic/madrid" in reason
    assert (slack.messages, cursor) == ([], None)

    world.load("traffic", "2026-11")
    job = defs().resolve_job_def(EXPIRE_JOB)
    assert job.execute_in_process(instance=world.instance).success
    _, cursor = summary(world)
    (message,) = slack.messages
    assert cursor == "2026-11"
    for part in ("2026-11 of 1 cities: 2 of 2 months added in 271 h 0 min", "coverage 9", "expired: 2024-11"):
        assert part in message
    assert "still missing" not in message
    reason, _ = summary(world, cursor)
    assert "already reported" in reason
    assert len(slack.messages) == 1


def test_incomplete_rotation_is_reported_after_the_wait(world: World, slack: Slack) -> None:
    world.monkeypatch.setenv("ENABLED_CITIES", "madrid")
    world.load("weather", "2026-09")
    world.at(DECEMBER + timedelta(days=7))
    summary(world)
    (message,) = slack.messages
    for part in (
        "0 of 2 months added",
        "no coverage",
        "still missing: weather/madrid, traffic/madrid",
        "expired: none",
    ):
        assert part in message


def test_rotation_is_complete_where_a_month_is_not_available(world: World) -> None:
    world.monkeypatch.setenv("ENABLED_CITIES", "madrid")
    world.load("weather", "2026-10")
    tick = datetime(2026, 11, 1, 2, tzinfo=UTC)
    record_state(world.database, "madrid", "traffic", Month(2026, 10), "not_available", at=tick, message="never")
    october = rotation(world.feeds, read_months(world.database), [], tick)
    assert (october.complete, october.added, october.unavailable) == (True, 1, 1)
    assert "1 not available at their source" in rotation_text(october)


def test_failing_webhook_raises_without_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_WEBHOOK_URL", "http://127.0.0.1:1/services/canary-secret")
    with pytest.raises(NoticeFailed) as caught:
        post_to_slack("hello")
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_city_that_fails_in_a_batch_fails_alone_and_is_named(world: World, slack: Slack, no_waiting: None) -> None:
    world.enable("madrid", "barcelona")
    _, cursor = tick(world, "failure_notice", None)
    world.sandbox.faults.order("/estacion/0076", status=401, body="refused")
    feeds = [world.feed("weather", city_id) for city_id in ("madrid", "barcelona")]
    result = (
        defs()
        .resolve_job_def(MONTHS_JOB)
        .execute_in_process(
            instance=world.instance,
            partition_key="2026-09",
            asset_selection=[asset_key(feed, step) for feed in feeds for step in STEPS],
            raise_on_error=False,
        )
    )
    assert not result.success
    loaded = world.entry("weather", "2026-09", "madrid")
    assert loaded is not None
    assert loaded.has_data
    assert tick(world, "failure_notice", cursor)[0] == "1 reported"
    (message,) = slack.messages
    assert message.startswith(
        "city_data: weather of 1 of 2 cities, 2026-09 failed: barcelona: aemet: barcelona 2026-09: the key was refused"
    )
    assert "madrid" not in message


def test_batch_whose_process_died_is_reported_without_naming_its_cities(world: World, slack: Slack) -> None:
    world.enable("madrid", "barcelona")
    _, cursor = tick(world, "failure_notice", None)
    selected = frozenset(asset_key(world.feed("weather", city), "raw") for city in ("madrid", "barcelona"))
    job, tags = defs().resolve_job_def(MONTHS_JOB), {"dagster/partition": "2026-09"}
    run = world.instance.create_run_for_job(job, tags=tags, asset_selection=selected)
    world.instance.report_run_failed(run)
    assert tick(world, "failure_notice", cursor)[0] == "1 reported"
    assert "weather of 2 cities, 2026-09 failed: the run ended before its month was tried" in slack.messages[0]


def test_run_killed_for_memory_is_reported_with_its_limit(world: World, slack: Slack) -> None:
    _, cursor = tick(world, "failure_notice", None)
    selected = frozenset({asset_key(world.feed("weather"), "raw")})
    job, tags = defs().resolve_job_def(MONTHS_JOB), {"dagster/partition": "2026-09"}
    run = world.instance.create_run_for_job(job, tags=tags, asset_selection=selected)
    reason = "OOMKilled: the run needs more memory than its limit of 2Gi"
    world.instance.report_run_failed(run, f"Detected run worker status (status=FAILED, msg='{reason}'). Marking run")
    assert tick(world, "failure_notice", cursor)[0] == "1 reported"
    assert f"weather of madrid, 2026-09 failed: {reason};" in slack.messages[0]
