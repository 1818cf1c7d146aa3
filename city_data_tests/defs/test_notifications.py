"""What people are told without asking: a failed run, and each month's rotation; never a secret."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import dagster as dg
import pytest

from city_data.definitions import defs
from city_data.defs.keys import MONTHS_JOB
from city_data.defs.notifications import NoticeFailed, failure_text, notify_slack, rotation, rotation_text, tell_slack
from city_data.defs.retention import EXPIRE_JOB
from city_data.store.ledger import read_months, record_state
from city_data.window import Month
from city_data_tests.world import World

DECEMBER = datetime(2026, 12, 12, 9, tzinfo=UTC)


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """A local stand-in for Slack; the texts that it was told."""
    told: list[dict[str, str]] = []

    class Slack(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Slack)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("SLACK_WEBHOOK_URL", f"http://127.0.0.1:{server.server_port}/hook")
    yield told  # type: ignore[misc]
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


def test_slack_is_told_of_a_failed_run_and_of_no_secret(
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


def test_without_a_webhook_nothing_is_sent(world: World, no_waiting: None) -> None:
    world.monkeypatch.delenv("SLACK_WEBHOOK_URL", raising=False)
    world.sandbox.faults.order("/diarios/", status=403)
    (done,) = world.load("weather", "2026-09")
    skipped = notify_slack(failure_context(world, done.run_id))
    assert isinstance(skipped, dg.SkipReason)
    assert "SLACK_WEBHOOK_URL" in str(skipped.skip_message)
    assert "failed before its first step" in failure_text(MONTHS_JOB, done.run_id, None, [])


def summary(world: World, cursor: str | None = None) -> tuple[str, str | None]:
    """What the rotation's sensor says of a tick, and its cursor."""
    repository = defs().get_repository_def()
    context = dg.build_sensor_context(
        instance=world.instance,
        repository_def=repository,
        resources=repository.get_top_level_resources(),
        cursor=cursor,
    )
    data = repository.get_sensor_def("rotation_summary").evaluate_tick(context)
    return str(data.skip_message), data.cursor


def test_a_month_s_rotation_is_told_once_when_it_is_whole(world: World, webhook: list[dict[str, str]]) -> None:
    world.monkeypatch.setenv("ENABLED_CITIES", "madrid")
    world.load("weather", "2024-11")
    world.at(DECEMBER)
    world.load("weather", "2026-11")
    said, cursor = summary(world)
    assert "traffic/madrid" in said
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
    said, _ = summary(world, cursor)
    assert "was told" in said
    assert len(webhook) == 1


def test_a_month_that_stays_away_is_told_after_the_wait(world: World, webhook: list[dict[str, str]]) -> None:
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


def test_a_month_that_its_source_never_had_is_no_reason_to_wait(world: World) -> None:
    world.monkeypatch.setenv("ENABLED_CITIES", "madrid")
    world.load("weather", "2026-10")
    tick = datetime(2026, 11, 1, 2, tzinfo=UTC)
    record_state(world.database, "madrid", "traffic", Month(2026, 10), "not_available", at=tick, message="never")
    told = rotation(world.feeds, read_months(world.database), [], tick)
    assert (told.complete, told.added, told.unavailable) == (True, 1, 1)
    assert "1 not available at their source" in rotation_text(told)


def test_a_webhook_that_fails_is_loud_and_keeps_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_WEBHOOK_URL", "http://127.0.0.1:1/services/canary-secret")
    with pytest.raises(NoticeFailed) as caught:
        tell_slack("hello")
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None
