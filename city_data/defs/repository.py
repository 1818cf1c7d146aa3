"""The repository of all feeds, of which a process builds only those that it runs.

Belongs here: the choice of the feeds to build. Does not: their definitions (build.py).
Definitions of 500 cities take 8 s of CPU. A run's process needs those of its own assets, which Dagster names when it
asks for the run's job; a code location builds all of them, once, for the pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from functools import cached_property
from typing import Any

import dagster as dg
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME, CachingRepositoryData
from dagster._core.definitions.repository_definition.repository_data import RepositoryData

from city_data.defs.keys import STEPS, asset_key
from city_data.pipeline.feeds import Feed


class FeedRepository(dg.RepositoryDefinition):
    """`feeds` reads the registry, `build` makes definitions of some of its feeds; both are called when needed."""

    def __init__(self, feeds: Callable[[], list[Feed]], build: Callable[[list[Feed]], dg.Definitions]) -> None:
        empty = CachingRepositoryData({}, {}, {}, {}, {}, {}, {}, {}, {}, component_tree=None)
        super().__init__(SINGLETON_REPOSITORY_NAME, repository_data=empty)
        self._feeds, self._build = feeds, build

    @cached_property
    def _all(self) -> dg.RepositoryDefinition:
        return self._build(self._feeds()).get_repository_def()

    @property
    def _repository_data(self) -> RepositoryData:
        return self._all._repository_data

    @_repository_data.setter
    def _repository_data(self, empty: RepositoryData) -> None:
        """Dagster's constructor sets it; it is built at the first use."""

    def get_maybe_subset_job_def(
        self,
        job_name: str,
        op_selection: Iterable[str] | None = None,
        asset_selection: Set[dg.AssetKey] | None = None,
        asset_check_selection: Set[dg.AssetCheckKey] | None = None,
    ) -> Any:
        own = self._feeds_of(asset_selection) if asset_selection and not op_selection else None
        if not own:
            return super().get_maybe_subset_job_def(job_name, op_selection, asset_selection, asset_check_selection)
        repository = self._build(own).get_repository_def()
        return repository.get_maybe_subset_job_def(job_name, None, asset_selection, asset_check_selection)

    def _feeds_of(self, selected: Set[dg.AssetKey]) -> list[Feed] | None:
        """The feeds that the assets belong to; None where some asset belongs to none."""
        own = [feed for feed in self._feeds() if any(asset_key(feed, step) in selected for step in STEPS)]
        known = {asset_key(feed, step) for feed in own for step in STEPS}
        return own if selected <= known else None
