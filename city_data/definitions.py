"""The entry point of Dagster: the repository of the enabled cities over the current window."""

from __future__ import annotations

import logging
import warnings

import dagster as dg

from city_data.cities import load_registry
from city_data.defs.build import build_definitions
from city_data.defs.keys import MONTHS_JOB
from city_data.defs.repository import FeedRepository
from city_data.pipeline.feeds import Feed, enabled_feeds
from city_data.window import as_of, rolling_window

# Dagster 1.13 passes a beta parameter of its own to every sensor with a job, and would warn of it at each command.
warnings.filterwarnings("ignore", message="Parameter `owners` of initializer `SensorDefinition.__init__`")
# It also logs, for each check of a skipped month, that the next step continues without it, and then skips that step:
# 96 lines for a city whose months are not available.
logging.getLogger("dagster._core.execution.plan.active").addFilter(lambda record: "no result" not in record.msg)


def defs() -> dg.Definitions:
    """All definitions."""
    return _build(_feeds())


def month_job(feed: Feed) -> dg.JobDefinition:
    """The job of all months with this feed alone, for a process that makes many runs of it: Dagster serialises the
    whole job for each."""
    return _build([feed]).resolve_job_def(MONTHS_JOB)


def _feeds() -> list[Feed]:
    return enabled_feeds(load_registry())


def _build(feeds: list[Feed]) -> dg.Definitions:
    return build_definitions(feeds, rolling_window(as_of()))


repository = FeedRepository(_feeds, _build)
