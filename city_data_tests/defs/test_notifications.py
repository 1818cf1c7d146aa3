"""Slack notices: failed runs and monthly rotations, without secrets."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import dagster as dg
import pytest

from city_data.definitions import defs
from city_data.defs.keys import MONTHS_JOB
from city_data.defs.notifications import (
    NoticeFailed,
    failure_text,
    notify_slack,
    post_to_slack,
    rotation,
    rotation_text,
)
from city_data.defs.retention import EXPIRE_JOB
from city_data.store.ledger import read_months, record_state
from city_data.window import Month
from city_data_tests.world import World

DECEMBER = datetime(2026, 12, 12, 9, tzinfo=UTC)


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """A local HTTP server in place of Slack, and the messages it received."""
    messages: list[dict[str, str]] = []

    class Slack(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Slack)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("SLACK_WEBHOOK_URL", f"http://127.0.0.1:{server.server_port}/hook")
    yield messages  # type: ignore[misc]
    server.shutdown()
    thread.join()
    server.server_close()


def failure_context(world: World, run_id: str) -> dg.RunFailureSensorContext:
    run = world.instance.get_run_by_id(run_id)
    assert run is not None
    event = world.instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)[-1].dagster_event
    assert event is not None
    return dg.build_run_status_sensor_context(
        sensor_name="failure_notice", dagster_event=event, dagster_instance=world.instance, dagster_run=run
    ).for_run_failure()


def test_failed_run_is_reported_to_slack_without_secrets(
    world: World, webhook: list[dict[str, str]], no_waiting: None
) -> None:
    world.monkeypatch.setenv("AEMET_API_KEY", "canary-key")
    world.sandbox.faults.order("/diarios/", status=403, body="canary-key refused")
    (done,) = world.load("weather", "2026-09")
    assert notify_slack(failure_context(world, done.run_id)) is None
    (message,) = webhook
    assert "2026-09" in message["text"]
    assert "raw__weather__madrid" in message["text"]
    assert "canary" not in message["text"]


def test_failed_run_without_a_webhook_is_skipped(world: World, no_waiting: None) -> None:
    world.monkeypatch.delenv("SLACK_WEBHOOK_URL", raising=False)
    world.sandbox.faults.order("/diarios/", status=403)
    (done,) = world.load("weather", "2026-09")
    skipped = notify_slack(failure_context(world, done.run_id))
    assert isinstance(skipped, dg.SkipReason)
    assert "SLACK_WEBHOOK_URL" in str(skipped.skip_message)
    assert "failed before its first step" in failure_text(MONTHS_JOB, done.run_id, None, [])


def summary(world: World, cursor: str | None = None) -> tuple[str, str | None]:
    """The skip message of the rotation sensor's tick, and its cursor."""
    repository = defs().get_repository_def()
    context = dg.build_sensor_context(
        instance=world.instance,
        repository_def=repository,
        resources=repository.get_top_level_resources(),
        cursor=cursor,
    )
    data = repository.get_sensor_def("rotation_summary").evaluate_tick(context)
    return str(data.skip_message), data.cursor


def test_complete_rotation_is_reported_to_slack_once(world: World, webhook: list[dict[str, str]]) -> None:
    world.monkeypatch.setenv("ENABLED_CITIES", "madrid")
    world.load("weather", "2024-11")
    world.at(DECEMBER)
    world.load("weather", "2026-11")
    reason, cursor = summary(world)
    assert "traffic/madrid" in reason
    assert (webhook, cursor) == ([], None)

    world.load("traffic", "2026-11")
    job = defs().resolve_job_def(EXPIRE_JOB)
    assert job.execute_in_process(instance=world.instance).success
    _, cursor = summary(world)
    (message,) = webhook
    assert cursor == "2026-11"
    for part in ("2026-11 of 1 cities: 2 of 2 months added in 271 h 0 min", "coverage 9", "expired: 2024-11"):
        assert part in message["text"]
    assert "still missing" not in message["text"]
    reason, _ = summary(world, cursor)
    assert "already reported" in reason
    assert len(webhook) == 1


def test_incomplete_rotation_is_reported_after_the_wait(world: World, webhook: list[dict[str, str]]) -> None:
    world.monkeypatch.setenv("ENABLED_CITIES", "madrid")
    world.at(DECEMBER + timedelta(days=7))
    summary(world)
    (message,) = webhook
    for part in (
        "0 of 2 months added",
        "no coverage",
        "still missing: weather/madrid, traffic/madrid",
        "expired: none",
    ):
        assert part in message["text"]


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
