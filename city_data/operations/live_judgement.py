"""The verdict on what a source answered: against what its parser and its capabilities promise.

Belongs here: the judgement of one parsed sample. Does not: the questions (live_examination.py), or the checks of a
month that is published (pipeline/gate.py), which are part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from city_data.columns import Column
from city_data.datasets import DATASETS
from city_data.pipeline.gate import admit
from city_data.pipeline.payload_shape import describe
from city_data.pipeline.source_shape import distances
from city_data.providers.base import Capabilities, CollectingProvider, ParsedMonth, Payload, Provider, Request

if TYPE_CHECKING:
    import pandas as pd

# Beyond the declared lag, as for the overdue metric.
LATENESS = timedelta(days=3)
# A live feed's newest measurement is minutes old; hours are another clock's.
_FRESH, _OTHER_CLOCK = timedelta(minutes=45), timedelta(hours=14)
# Means of a month anywhere people measure: beyond them a column is in another unit, though each value is plausible.
_MEANS = {
    "temperature": (-40.0, 42.0),
    "humidity": (10.0, 100.0),
    "wind_speed": (0.0, 14.0),
    "pressure": (940.0, 1_060.0),
    "traffic_volume": (1.0, 3_000.0),
    "pedestrian_count": (1.0, 10_000.0),
    "average_speed": (5.0, 130.0),
}
_IMPOSSIBLE = frozenset({"spike", "implausible", "negative", "unreadable", "ambiguous", "not_a_number"})
# Stamps of hours are exact; pollers begin some minutes later. Later than a day is a gap.
_EXACT_S, _GAP_S = 1_800.0, 86_400.0


@dataclass
class LiveFinding:
    """What one source answered. `problem` is None for an answer as the parser expects it."""

    name: str
    lines: list[str] = field(default_factory=list)
    problem: str | None = None

    def add(self, problem: str) -> None:
        """The first problem is the verdict: the others follow from it."""
        self.problem = self.problem or problem


def judge(
    provider: Provider,
    question: Request,
    request: Request,
    payloads: Sequence[Payload],
    parsed: ParsedMonth,
    newest: datetime | None,
    finding: LiveFinding,
) -> None:
    """Columns, a value, clock, units, and the reach of the newest data. `request` is that of the sample, `newest` the
    date of its file where the sample does not reach the newest data."""
    admitted = admit(parsed, request, provider.capabilities)
    frame, live = admitted.parsed.frame, isinstance(provider, CollectingProvider)
    columns = [c for c in DATASETS[provider.capabilities.dataset].columns if c.name in provider.capabilities.columns]
    present = [c for c in columns if c.name in frame and frame[c.name].notna().any()]
    finding.lines.append(f"columns with values: {', '.join(c.name for c in present) or 'none'}; promised: "
                         f"{', '.join(c.name for c in columns)}")  # fmt: skip
    finding.lines.append(f"fields of the source: {', '.join(map(str, parsed.fields))}")
    numbers = [column for column in present if column.kind == "number"]
    if numbers:
        row = frame[frame[numbers[0].name].notna()].iloc[-1]
        finding.lines.append(f"sample: {numbers[0].name} {row[numbers[0].name]:g} {numbers[0].unit} at {row['date']}")
    _judge_clock(provider, request, payloads, finding)
    refused = [f"{one.name}: {one.description}" for one in admitted.outcomes if one.blocking and not one.passed]
    if refused:
        finding.add("; ".join(refused))
    _judge_units(frame, numbers, finding)
    _judge_rejected(parsed, finding)
    if live:
        return
    # Words come and go with the weather; another station may lack a sensor.
    absent = [c.name for c in columns if c not in present and c.kind == "number"]
    if absent and request.settings == question.settings:
        finding.add(f"no value of {', '.join(absent)}, which the source promises")
    if not present:
        finding.add("not one usable value")
    elif newest is not None or not provider.whole_files:
        judge_reach(newest or _end_of(frame, provider), question.as_of, provider.capabilities, finding)


def judge_reach(newest: datetime, moment: datetime, capabilities: Capabilities, finding: LiveFinding) -> None:
    """How old the newest data is, or how far it falls short of days ahead, against the declared lag."""
    age, lag = moment + capabilities.ahead - newest.astimezone(UTC), capabilities.lag
    short = f"short of {capabilities.ahead.days} days ahead" if capabilities.ahead else "old"
    text = f"newest data {newest:%Y-%m-%d %H:%M}, {age / timedelta(hours=1):.1f} h {short}; declared lag {lag}"
    finding.lines.append(text)
    if age > lag + LATENESS:
        finding.add(f"stale: {text}")


def judge_poll(newest: datetime, moment: datetime, finding: LiveFinding) -> None:
    """A live feed's newest measurement, which is minutes old."""
    age = moment - newest.astimezone(UTC)
    finding.lines.append(f"newest measurement {newest:%Y-%m-%d %H:%M}, {age / timedelta(hours=1):.1f} h old")
    if age > _OTHER_CLOCK:
        finding.add(f"stale: the newest measurement is {age / timedelta(hours=1):.1f} h old")
    elif age > _FRESH:
        finding.add(
            f"stale, or stamps by another clock: the newest measurement is {age / timedelta(hours=1):.1f} h old"
        )


def _judge_clock(provider: Provider, request: Request, payloads: Sequence[Payload], finding: LiveFinding) -> None:
    """The first stamp against the month's start by the provider's clock; a live feed's last against the poll."""
    stamps = describe(payloads).stamps
    if stamps is None:
        return
    if isinstance(provider, CollectingProvider):
        if stamps.last is not None and stamps.last > (request.as_of + _FRESH).timestamp():
            ahead = (stamps.last - request.as_of.timestamp()) / 3600
            finding.add(f"stamps by another clock: {stamps.column} is {ahead:.1f} h ahead of the poll")
        return
    if provider.clock is None or stamps.step is None:
        return
    start, zone = request.month.bounds(request.location.timezone)[0], request.location.timezone
    late = distances(stamps.first, start, zone)[provider.clock] - (stamps.step if provider.stamps_end else 0.0)
    finding.lines.append(f"stamps: {stamps.column}, {stamps.step:g} s apart")
    tolerance = stamps.step if stamps.step < _EXACT_S else stamps.step / 2
    if tolerance <= abs(late) <= max(_GAP_S, stamps.step):
        finding.add(f"stamps by another clock: {stamps.column} begins {late / 3600:+.1f} h from the month's start")


def _judge_units(frame: pd.DataFrame, numbers: Sequence[Column], finding: LiveFinding) -> None:
    for column in numbers:
        mean, (low, high) = float(frame[column.name].mean()), _MEANS.get(column.name, (float("-inf"), float("inf")))
        if not low <= mean <= high:
            finding.add(
                f"{column.name} in another unit? its mean is {mean:.1f} {column.unit}, outside of {low:g} to {high:g}"
            )


def _judge_rejected(parsed: ParsedMonth, finding: LiveFinding) -> None:
    """Rows that are listed without a measurement are a source's habit; rows with an impossible one are not."""
    for reason in sorted(_IMPOSSIBLE & parsed.rejected.keys()):
        if parsed.rejected[reason] > parsed.received / 2:
            finding.add(f"{parsed.rejected[reason]:,} of {parsed.received:,} rows rejected as {reason}: another unit?")


def _end_of(frame: pd.DataFrame, provider: Provider) -> datetime:
    step = timedelta(days=1) if provider.capabilities.resolution == "daily" else timedelta(hours=1)
    newest: datetime = frame["date"].iloc[-1].to_pydatetime() + step
    return newest
