"""The repository of all feeds: complete for pages and ticks, and for a run only the run's own."""

from __future__ import annotations

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME

from city_data.cities import load_registry
from city_data.definitions import defs, repository
from city_data.defs.build import build_definitions
from city_data.defs.keys import MONTHS_JOB, STEPS, asset_key
from city_data.defs.purge import PURGE_JOB
from city_data.defs.repository import FeedRepository
from city_data.pipeline.feeds import Feed, enabled_feeds
from city_data.window import as_of, rolling_window


@pytest.fixture
def built() -> list[list[str]]:
    """The feeds of each building of definitions."""
    return []


@pytest.fixture
def cities(built: list[list[str]]) -> FeedRepository:
    def build(feeds: list[Feed]) -> dg.Definitions:
        built.append([feed.name for feed in feeds])
        return build_definitions(feeds, rolling_window(as_of()))

    return FeedRepository(lambda: enabled_feeds(load_registry()), build)


def keys(*names: str) -> set[dg.AssetKey]:
    feeds = [feed for feed in enabled_feeds(load_registry()) if feed.name in names]
    return {asset_key(feed, step) for feed in feeds for step in STEPS}


def test_run_builds_the_feeds_that_it_names(cities: FeedRepository, built: list[list[str]]) -> None:
    own = keys("weather/madrid", "weather/lisbon")
    job = cities.get_maybe_subset_job_def(MONTHS_JOB, asset_selection=own)
    assert job.asset_layer.selected_asset_keys == own
    assert built == [["weather/madrid", "weather/lisbon"]]


def test_jobs_without_assets_and_unknown_assets_are_those_of_the_whole(
    cities: FeedRepository, built: list[list[str]]
) -> None:
    assert cities.get_maybe_subset_job_def(PURGE_JOB).name == PURGE_JOB
    with pytest.raises(dg.DagsterInvalidSubsetError):
        cities.get_maybe_subset_job_def(MONTHS_JOB, asset_selection={dg.AssetKey(["atlantis", "weather_raw"])})
    assert len(built) == 1
    assert len(built[0]) == len(enabled_feeds(load_registry()))


def test_pages_see_every_job_schedule_sensor_and_asset() -> None:
    whole = defs().get_repository_def()
    assert repository.name == whole.name == SINGLETON_REPOSITORY_NAME
    assert set(repository.job_names) == set(whole.job_names)
    assert {s.name for s in repository.schedule_defs} == {s.name for s in whole.schedule_defs}
    assert {s.name for s in repository.sensor_defs} == {s.name for s in whole.sensor_defs}
    assert repository.asset_graph.get_all_asset_keys() == whole.asset_graph.get_all_asset_keys()


def test_job_of_a_run_is_reconstructed_from_the_module() -> None:
    pointer = ModuleCodePointer("city_data.definitions", "repository")
    own = keys("weather/lisbon")
    job = ReconstructableJob(ReconstructableRepository(pointer), MONTHS_JOB, asset_selection=own).get_definition()
    assert {node.name for node in job.nodes} == {key.to_python_identifier() for key in own}
