"""Asset backfills on a running Dagster: which feeds and months share one."""

from __future__ import annotations

from city_data.operations.backfill import tasks
from city_data.operations.cluster_backfill import groups
from city_data.window import Month
from city_data_tests.world import World


def test_feeds_of_a_provider_with_the_same_months_share_one_backfill(world: World) -> None:
    world.enable("madrid", "barcelona")
    of_aemet = [feed for feed in world.feeds if feed.primary.provider.name == "aemet"]
    assert len(of_aemet) == 2
    months = [Month(2026, 9), Month(2026, 10)]
    assert groups(tasks(of_aemet, months)) == [(months, of_aemet)]


def test_backfill_has_feeds_of_one_provider_alone(world: World) -> None:
    first, second = world.feed("weather"), world.feed("traffic")
    september, october = Month(2026, 9), Month(2026, 10)
    same = tasks([first, second], [september, october])
    assert [(months, [feed.name for feed in feeds]) for months, feeds in groups(same)] == [
        ([september, october], [first.name]),
        ([september, october], [second.name]),
    ]
    apart = [(first, september), (first, october), (second, october)]
    assert [months for months, _ in groups(apart)] == [[september, october], [october]]
    assert groups([]) == []
