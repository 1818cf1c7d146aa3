"""A source that changes what it sends: the check, the notice, the metric and the alert's figure, through real runs."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from city_data.operations.source_shape_metrics import SourceShapeCollector
from city_data.store.source_shapes import read_shapes
from city_data_tests.defs.slack import Slack, serving, tick
from city_data_tests.pipeline.life import CLOSED, DAY, MONTH, Life, reader
from city_data_tests.world import World


def changes(world: World) -> float | None:
    registry = CollectorRegistry()
    registry.register(SourceShapeCollector(world.database, world.feeds))
    labels = {"city": "madrid", "dataset": "weather", "provider": "aemet"}
    return registry.get_sample_value("external_source_shape_changes", labels)


def notice(world: World, cursor: str | None) -> str | None:
    return tick(world, "source_shape_notice", cursor)[1]


def test_changed_shape_is_reported_by_check_notice_and_metric_before_the_month_is_published(world: World) -> None:
    early = CLOSED + 6 * DAY
    with reader(world) as client, serving() as (slack, address):
        world.monkeypatch.setenv("SLACK_WEBHOOK_URL", address)
        life = Life(world, "weather", client)
        assert life.tick("refresh_unsettled", early)
        assert life.check("source_shape", "raw")
        assert changes(world) == 0
        cursor = notice(world, None)
        assert slack.messages == []

        world.sandbox.faults.order("/opendata/sh/", extra_column="tmed_corregida", swap_decimals=True)
        assert life.tick("refresh_unsettled", early + DAY, succeeds=False)  # numbers that the parser cannot read
        assert not life.check("source_shape", "raw")
        assert changes(world) == 11  # a column, and ten of numbers by another decimal mark
        life.all_say("provisional", 1)
        cursor = report_once(world, slack, cursor)

        world.sandbox.faults.clear()
        assert life.tick("refresh_unsettled", early + 2 * DAY)
        assert life.check("source_shape", "raw")
        assert changes(world) == 0
        assert notice(world, cursor) == cursor
        (row,) = read_shapes(world.database)
        assert (row.month, row.checked_at, row.first_at) == (MONTH, early + 2 * DAY, early)


def report_once(world: World, slack: Slack, cursor: str | None) -> str | None:
    """One message, although Slack errs at first, and none at the next tick."""
    slack.answers = [500]
    assert notice(world, cursor) == cursor
    reported = notice(world, cursor)
    (message,) = slack.messages
    assert message.startswith("city_data: aemet has changed what it sends for weather of madrid, 2026-09: ")
    assert "new columns: tmed_corregida" in message
    assert notice(world, reported) == reported
    assert len(slack.messages) == 1
    return reported
