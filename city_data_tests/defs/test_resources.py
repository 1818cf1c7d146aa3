"""Resources: a clock that is ahead publishes nothing, and a launched run cannot choose an address."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from city_data.definitions import defs
from city_data.defs.keys import MONTHS_JOB
from city_data.defs.resources import DatabaseResource, resources
from city_data.store.database import ClockAhead
from city_data_tests.store.loads import month_load
from city_data_tests.world import World


def test_load_later_than_the_databases_clock_is_refused(world: World) -> None:
    world.monkeypatch.delenv("CITY_DATA_AS_OF")
    now, database = datetime.now(UTC), DatabaseResource()
    for ahead in (timedelta(minutes=10), timedelta(days=400)):
        with pytest.raises(ClockAhead, match=r"this machine's clock is at .* the database's at .* set it right"):
            database.replace_month(month_load(at=now + ahead, fetched_at=now + ahead))
    assert database.replace_month(month_load(at=now, fetched_at=now)).version == 1
    world.at(now + timedelta(days=1))  # a test or a replay, which sets the clock on purpose
    assert database.replace_month(month_load(at=now + timedelta(days=1), fetched_at=now)).version == 1


def test_launched_run_can_override_no_address_and_no_secret(world: World) -> None:
    job = defs().resolve_job_def(MONTHS_JOB)
    for name in resources():
        schema = job.run_config_schema.config_type.fields["resources"].config_type.fields[name].config_type  # type: ignore[attr-defined]
        assert not schema.fields.get("config") or not schema.fields["config"].config_type.fields
    config = {"resources": {"database": {"config": {"url": "postgresql://attacker.example/x"}}}}
    with pytest.raises(dg.DagsterInvalidConfigError):
        job.execute_in_process(partition_key="2026-09", run_config=config, instance=world.instance)
