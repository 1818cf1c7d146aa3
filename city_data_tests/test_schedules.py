"""What is asked for and when: the month that closed, and every month that is not settled."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import dagster as dg
import pytest

from city_data.definitions import defs
from city_data.resources import DatabaseResource
from city_data.schedules import MONTHS_JOB, failure_text, notify_slack
from city_data_tests.world import AS_OF, World


def requests(world: World, name: str, at: datetime) -> list[dg.RunRequest]:
    repository = defs().get_repository_def()
    schedule = repository.get_schedule_def(name)
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    with dg.build_schedule_context(
        instance=world.instance,
        scheduled_execution_time=at,
        repository_def=repository,
        resources={"database": DatabaseResource(url=world.database_url)},
    ) as context:
        opened = context.instance  # held: the context keeps only a weak hand on what it opens
        found = list(schedule.evaluate_tick(context).run_requests or [])
        assert opened is not None
    return found


@pytest.mark.parametrize("override", [True, False])
def test_the_tick_of_day_one_asks_for_the_month_that_closed(world: World, override: bool) -> None:
    tick = datetime(2026, 12, 1, 2, tzinfo=UTC)
    if override:
        world.at(tick)
    else:
        world.monkeypatch.delenv("CITY_DATA_AS_OF")
    asked = requests(world, "month_closed", tick)
    assert {request.partition_key for request in asked} == {"2026-11"}
    assert len(asked) == len(world.feeds)
    assert [key.to_user_string() for key in asked[0].asset_selection or []] == [
        "raw/weather/madrid",
        "monthly/weather/madrid",
        "cache/weather/madrid",
    ]


def due_weather(world: World) -> set[str | None]:
    asked = requests(world, "refresh_unsettled", AS_OF)
    return {request.partition_key for request in asked if request.tags["city_data/dataset"] == "weather"}


def test_the_refresh_asks_only_for_what_is_due(world: World) -> None:
    everything = requests(world, "refresh_unsettled", AS_OF)
    assert len(everything) == 25 * len(world.feeds)
    world.load("weather", "2026-09", "2026-10")  # settled, and provisional until its source has had its time
    weather = {
        r.partition_key for r in requests(world, "refresh_unsettled", AS_OF) if r.tags["city_data/dataset"] == "weather"
    }
    assert not weather & {"2026-09", "2026-10"}
    assert "2026-11" in weather
    world.at(AS_OF + timedelta(days=1))
    tomorrow = {
        r.partition_key for r in requests(world, "refresh_unsettled", AS_OF) if r.tags["city_data/dataset"] == "weather"
    }
    assert "2026-10" in tomorrow
    assert "2026-09" not in tomorrow


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
