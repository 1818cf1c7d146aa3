"""A month's rotation through Dagster: the schedule's tick, its runs through queue and daemon, and their cost.

Belongs here: a sample of the runs, in proportion to the sources, and the extrapolation to all. Does not: the processes
(deployment.py), or the table (__main__.py).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from city_data.window import Month
from city_data_tests.scale import registry
from city_data_tests.scale.deployment import Deployment

# Of each source, in proportion to its cities.
SAMPLE = {registry.WEATHER: 2, **dict.fromkeys(registry.TRAFFIC, 1)}
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}
_LOCATION = {"repositoryLocationName": "city_data", "repositoryName": "__repository__"}
_TICK = """mutation($schedule: ScheduleSelector!, $at: Float!) {
  scheduleDryRun(selectorData: $schedule, timestamp: $at) { ... on DryRunInstigationTick { evaluationResult {
    error { message } runRequests { tags { key value } assetSelection { path } } } } } }"""
_LAUNCH = """mutation($runs: [ExecutionParams!]!) { launchMultipleRuns(executionParamsList: $runs) {
  ... on LaunchMultipleRunsResult { launchMultipleRunsResult { ... on LaunchRunSuccess { run { runId } } } } } }"""
_SENSOR = """query($sensor: SensorSelector!) { sensorOrError(sensorSelector: $sensor) { ... on Sensor {
  sensorState { id } } } }"""
_STOP = "mutation($id: String) { stopSensor(id: $id) { __typename } }"
_STATES = "query($of: RunsFilter!) { runsOrError(filter: $of) { ... on Runs { results { status } } } }"


@dataclass(frozen=True)
class Rotation:
    """The cost of a month of all cities and datasets, from that of `loaded` city-months of `all`."""

    runs: int
    loaded: int
    all: int
    cpu: float
    wall: float
    growth: float

    def of_all(self, measured: float) -> float:
        return measured * self.all / self.loaded

    def __str__(self) -> str:
        return (
            f"{self.runs} runs of {self.loaded} of {self.all} city-months: CPU {self.cpu:.0f} s, {self.wall:.0f} s, "
            f"+{self.growth / 1e3:.0f} kB; each {self.cpu / self.loaded:.2f} s, {self.wall / self.loaded:.1f} s, "
            f"{self.growth / 1e3 / self.loaded:.1f} kB"
        )


def rotate(deployment: Deployment, month: Month) -> Rotation:
    """Load a month of a sample of the cities. Raises RuntimeError where a run does not succeed."""
    requests = _tick(deployment, month)
    sample = _sample(requests)
    cpu, wall, size = deployment.cpu(), time.monotonic(), deployment.database_bytes()
    states = _run(deployment, sample)
    if set(states) != {"SUCCESS"}:
        raise RuntimeError(f"runs of {month} ended as {states}")
    taken = deployment.cpu() - cpu
    return Rotation(
        runs=len(sample),
        loaded=sum(map(_months, sample)),
        all=sum(map(_months, requests)),
        cpu=taken,
        wall=time.monotonic() - wall,
        growth=deployment.database_bytes() - size,
    )


def stop_sensor(deployment: Deployment, name: str) -> None:
    """Stop a sensor, where the tree has it."""
    sensor = deployment.ask(_SENSOR, sensor={**_LOCATION, "sensorName": name})["sensorOrError"]
    if sensor:
        deployment.ask(_STOP, id=sensor["sensorState"]["id"])


def _tick(deployment: Deployment, month: Month) -> list[dict[str, Any]]:
    at = datetime.combine((month + 1).first_day, datetime.min.time(), UTC).replace(hour=2).timestamp()
    answer = deployment.ask(_TICK, schedule={**_LOCATION, "scheduleName": "month_closed"}, at=at)
    result = answer["scheduleDryRun"]["evaluationResult"]
    if result["error"]:
        raise RuntimeError(result["error"]["message"])
    return list(result["runRequests"])


def _sample(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    left, sample = dict(SAMPLE), []
    for request in requests:
        name = _provider(request["assetSelection"][0]["path"])
        if left[name]:
            left[name] -= 1
            sample.append(request)
    return sample


def _provider(path: list[str]) -> str:
    """Of an asset's key. An earlier release names the dataset before the city."""
    (city,) = (part for part in path if part.startswith("city_"))
    is_weather = any(part.startswith("weather") for part in path)
    return registry.WEATHER if is_weather else registry.traffic_of(int(city.removeprefix("city_")))


def _months(request: dict[str, Any]) -> int:
    return len(request["assetSelection"]) // 3


def _run(deployment: Deployment, requests: list[dict[str, Any]]) -> list[str]:
    runs = [
        {
            "selector": {**_LOCATION, "jobName": "__ASSET_JOB", "assetSelection": request["assetSelection"]},
            "mode": "default",
            "runConfigData": "{}",
            "executionMetadata": {"tags": request["tags"]},
        }
        for request in requests
    ]
    launched = deployment.ask(_LAUNCH, runs=runs)["launchMultipleRuns"]["launchMultipleRunsResult"]
    ids = [one["run"]["runId"] for one in launched]
    while True:
        states = [run["status"] for run in deployment.ask(_STATES, of={"runIds": ids})["runsOrError"]["results"]]
        if set(states) <= ENDED:
            return states
        time.sleep(0.5)
