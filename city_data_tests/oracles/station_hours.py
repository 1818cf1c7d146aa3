"""The city-hour of counting points, computed again one station and one hour at a time.

Belongs here: the method's steps as the format sheet of the traffic sources lists them, in plain loops. Does not: how
a source's rows become station-hours, which each source's oracle knows. Slow, and free of every product module, so
that a fault of the product cannot be a fault of this as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

PANEL_SHARE = 0.7
MINIMUM_COVERAGE = 0.5

Flow = Mapping[tuple[str, int], float]  # by station and hour of the month


def hours_of(request: Any) -> list[datetime]:
    """The start of every hour of UTC in the request's local month."""
    zone = ZoneInfo(request.location.timezone)
    year, month = request.month.year, request.month.month
    following = (year + month // 12, month % 12 + 1)
    moment = datetime(year, month, 1, tzinfo=zone).astimezone(UTC)
    end = datetime(*following, 1, tzinfo=zone).astimezone(UTC)
    hours = []
    while moment < end:
        hours.append(moment)
        moment += timedelta(hours=1)
    return hours


def local_face(moment: datetime, timezone: str) -> tuple[int, int]:
    """Day and hour that the city's clocks show."""
    local = moment.astimezone(ZoneInfo(timezone))
    return local.day, local.hour


def volumes(
    flow: Flow,
    stratum_of: Mapping[str, str],
    weights: Mapping[str, float],
    week_hours: Mapping[int, int],
    judged: Sequence[int],
) -> dict[int, float | None]:
    """The city's volume by hour of `week_hours`; None where there is none.

    `judged` are the hours over which a station's share of valid hours is taken.
    """
    measured: dict[str, dict[int, float]] = {}
    for (station, hour), value in flow.items():
        measured.setdefault(station, {})[hour] = value
    needed = max(1, PANEL_SHARE * len(judged))
    panel = {s: by_hour for s, by_hour in measured.items() if sum(hour in by_hour for hour in judged) >= needed}
    profile = {station: _profile(by_hour, week_hours) for station, by_hour in panel.items()}
    strata = {name: sorted(s for s in panel if stratum_of[s] == name) for name in weights}
    if not all(strata.values()):
        return dict.fromkeys(week_hours)
    return {hour: _volume(hour, panel, profile, strata, weights, week_hours[hour]) for hour in week_hours}


def _profile(by_hour: Mapping[int, float], week_hours: Mapping[int, int]) -> dict[int, float]:
    """The station's own mean at each hour of the local week."""
    values: dict[int, list[float]] = {}
    for hour, value in by_hour.items():
        if hour in week_hours:
            values.setdefault(week_hours[hour], []).append(value)
    return {week_hour: sum(found) / len(found) for week_hour, found in values.items()}


def _volume(
    hour: int,
    panel: Mapping[str, Mapping[int, float]],
    profile: Mapping[str, Mapping[int, float]],
    strata: Mapping[str, Sequence[str]],
    weights: Mapping[str, float],
    week_hour: int,
) -> float | None:
    counted = total = volume = 0.0
    stations = 0
    for name, members in strata.items():
        valid = [station for station in members if hour in panel[station]]
        if not valid:
            return None
        mu = sum(profile[station][week_hour] for station in valid)
        v = sum(panel[station][hour] for station in valid)
        profiled = [profile[station][week_hour] for station in members if week_hour in profile[station]]
        panel_mu = sum(profiled) * len(members) / max(1, len(profiled))
        volume += weights[name] * panel_mu * (v / mu if mu > 0 else 1.0) / len(members)
        counted, total, stations = counted + mu, total + panel_mu, stations + len(valid)
    coverage = counted / total if total > 0 else float(stations > 0)
    return volume / sum(weights.values()) if coverage >= MINIMUM_COVERAGE else None
