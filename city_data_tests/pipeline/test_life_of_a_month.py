"""One month through every state, by an injected clock and a source that publishes late, then revises.

At each step the ledger, the reader, `city-data status` and Dagster must agree.
"""

from __future__ import annotations

import pytest

from city_data.datasets import DatasetName
from city_data_tests.pipeline.life import CLOSED, DAY, HOUR, MONTH, NO_DATA, Life, reader
from city_data_tests.world import World


@pytest.mark.parametrize(("dataset", "recheck"), [("traffic", "revised"), ("weather", "fetched")])
def test_ledger_reader_status_and_dagster_agree_in_every_state(
    world: World, dataset: DatasetName, recheck: str
) -> None:
    publication = world.sandbox.publication
    publication.unpublished = {MONTH}
    with reader(world) as client:
        life = Life(world, dataset, client)

        assert life.tick("month_closed", CLOSED)
        life.all_say("not_yet_published", None)

        publication.unpublished = set()  # six days late
        published = CLOSED + 7 * DAY
        assert life.tick("refresh_unsettled", published)
        life.all_say("provisional", 1)
        first = world.rows(dataset, str(MONTH))
        assert not life.tick("refresh_unsettled", published + HOUR)  # asked within the day

        assert life.tick("refresh_unsettled", published + DAY)
        life.all_say("settled", 1)
        assert life.check("revision")
        assert not life.tick("refresh_unsettled", published + 2 * DAY)
        assert not life.tick("recheck_settled", published + 8 * DAY)  # looked at within four weeks

        unchanged = published + 30 * DAY
        assert life.tick("recheck_settled", unchanged)
        life.all_say("settled", 1, "unchanged" if recheck == "revised" else "fetched")
        assert not life.tick("recheck_settled", unchanged + 7 * DAY)
        assert world.rows(dataset, str(MONTH)) == first

        publication.revisions = {MONTH: 1}
        revised = unchanged + 28 * DAY
        assert life.tick("recheck_settled", revised)
        life.all_say("provisional", 2, recheck)
        assert not life.check("revision")
        second = world.rows(dataset, str(MONTH))
        assert second != first

        assert life.tick("refresh_unsettled", revised + DAY)
        life.all_say("settled", 2, recheck)
        assert world.rows(dataset, str(MONTH)) == second
        assert not life.tick("refresh_unsettled", revised + 2 * DAY)


def test_second_revision_restarts_the_wait_and_a_failed_recheck_is_repeated(world: World, no_waiting: None) -> None:
    publication = world.sandbox.publication
    with reader(world) as client:
        life = Life(world, "traffic", client)
        assert life.tick("refresh_unsettled", CLOSED + 50 * DAY)
        life.all_say("settled", 1)  # lag and settling time had passed
        publication.revisions = {MONTH: 1}
        late = CLOSED + 80 * DAY
        assert life.tick("recheck_settled", late)
        publication.revisions = {MONTH: 2}
        assert life.tick("refresh_unsettled", late + DAY)
        life.all_say("provisional", 3, "revised")
        assert life.tick("refresh_unsettled", late + 2 * DAY)
        life.all_say("settled", 3, "revised")

        world.sandbox.faults.order("package_show", status=503)
        assert life.tick("recheck_settled", late + 40 * DAY, succeeds=False)
        entry = world.entry("traffic", str(MONTH))
        assert entry is not None
        assert (entry.state, entry.version) == ("settled", 3)
        assert "503" in str(entry.last_error)
        world.sandbox.faults.clear()
        assert life.tick("recheck_settled", late + 47 * DAY)
        life.all_say("settled", 3, "unchanged")


@pytest.mark.parametrize("dataset", ["traffic", "weather"])
def test_month_withdrawn_by_its_source_is_kept_without_the_fallback(world: World, dataset: DatasetName) -> None:
    with reader(world) as client:
        life = Life(world, dataset, client)
        assert life.tick("refresh_unsettled", CLOSED + 50 * DAY)
        rows = world.rows(dataset, str(MONTH))
        if dataset == "traffic":
            world.sandbox.publication.unpublished = {MONTH}
        else:
            world.sandbox.faults.order("/diarios/", body=NO_DATA)
        assert life.tick("recheck_settled", CLOSED + 80 * DAY)
        life.all_say("settled", 1, "withdrawn")
        assert world.rows(dataset, str(MONTH)) == rows
        assert not life.tick("recheck_settled", CLOSED + 87 * DAY)
