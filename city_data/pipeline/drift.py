"""The source drift sentinel: a month's columns, size and distribution against those of the month before.

Belongs here: comparisons that are reported and never refuse a month, since a source may change for good reasons. Does
not: checks of a month in itself (frames/checks.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from city_data.datasets import DATASETS, Dataset
from city_data.frames.checks import Outcome

if TYPE_CHECKING:
    import pandas as pd

    from city_data.store.ledger import MonthEntry

# Rows and bytes for each expected row, against the month before: a file cut in half is below, one listed twice above.
SIZE_BAND = (0.6, 1.7)
# A month's mean may move by this share of the month before: seasons move it too.
MEAN_SHARE = {
    "traffic_volume": 0.5,
    "average_speed": 0.5,
    "humidity": 0.75,
    "pressure": 0.03,
    "wind_speed": 1.0,
    "wind_gust": 1.0,
    "sunshine_duration": 4.0,
    "cloud_cover": 4.0,
}
# A share of degrees is meaningless: the mean temperature may move by 4 standard deviations of the month before, which
# a season never exceeds and another unit does.
MEAN_SPREADS = dict.fromkeys(("temperature", "temperature_min", "temperature_max"), 4.0)
SPREAD_FACTOR = 3.0
# The share of rows used may move by so much: a source has its good and its bad months.
USED_SHARE_BAND = 0.2
# A column that had at least a tenth of its values, and has less than half as many, is losing them.
COLUMN_SHARE, COLUMN_LEAST = 0.5, 0.1
# Words come and go with the weather, unless nearly every hour had some.
WORDS_LEAST = 0.9
_MEASURED = {name for dataset in DATASETS.values() for name in dataset.measured_names}
# Most months of rain or snow are another distribution than the month before: their mean and spread say nothing.
_NOT_COMPARED = {"precipitation", "snowfall"}

REPORTED = {
    "schema_drift": "The source has the columns that it had the month before",
    "size_drift": "The source's rows and bytes are as many as the month before, day for day",
    "distribution_drift": "Each column's mean and spread are like those of the month before",
    "column_drift": "No column has lost most of the values that it had the month before",
    "used_drift": "The share of the source's rows that was used is like that of the month before",
    "revision": "What was settled has not been changed by its source",
    "configured_stations": "Every configured station has data in an ended month",
    "origin_drift": "A model's month is of the model and the grid cell of the month before",
    "first_source": "The first source has the month, so that no fallback serves it",
}

_AHEAD = "grid_cell_ahead"
_JUDGED_ELSEWHERE = {"revision", "first_source", "configured_stations"}


@dataclass(frozen=True)
class MonthProfile:
    """The figures of a month that are compared. `bytes` and `received` rows are the source's; `whole` once the month
    had ended when it was fetched. `columns` are the shares (0..1) of expected values that the columns have;
    `used_share` is None for months that were loaded before rows were counted; for `origin` see `origin_of`."""

    provider: str
    fields: tuple[str, ...]
    bytes: int
    received: int
    expected_rows: int
    whole: bool
    means: Mapping[str, float]
    spreads: Mapping[str, float]
    columns: Mapping[str, float] = field(default_factory=dict)
    used_share: float | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)


def origin_of(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The model and the grid cell of a month that a model computed, and the cell of its days ahead, as far as they are
    named."""
    return {name: provenance[name] for name in ("model", "grid_cell", _AHEAD) if provenance.get(name)}


def profile_of(entry: MonthEntry, timezone: str) -> MonthProfile:
    """The profile of a month that has data, from its ledger row."""
    provenance = entry.provenance
    return MonthProfile(
        provider=(entry.source or "").rpartition(":")[2],
        fields=tuple(provenance.get("fields", ())),
        bytes=sum(int(file.get("bytes", 0)) for file in entry.raw_files),
        received=entry.received,
        expected_rows=entry.expected_rows,
        whole=entry.fetched_at is not None and entry.fetched_at >= entry.month.bounds(timezone)[1],
        means=provenance.get("means", {}),
        spreads=provenance.get("spreads", {}),
        columns=entry.column_coverage,
        used_share=entry.used_share,
        origin=origin_of(provenance),
    )


def means(frame: pd.DataFrame, dataset: Dataset) -> dict[str, float]:
    """The mean of each number column that has values."""
    return {name: float(frame[name].mean()) for name in _numbers(dataset) if frame[name].notna().any()}


def spreads(frame: pd.DataFrame, dataset: Dataset) -> dict[str, float]:
    """The standard deviation of each number column that has at least two values."""
    return {name: float(frame[name].std()) for name in _numbers(dataset) if frame[name].notna().sum() > 1}


def evaluate(now: MonthProfile, before: MonthProfile | None) -> list[Outcome]:
    """One outcome for each comparison; passed, with the reason, if there is no month to compare with."""
    if before is None:
        why = "no month before to compare with"
        return [Outcome(name, True, why) for name in REPORTED if name not in _JUDGED_ELSEWHERE]
    return [
        _schema(now, before),
        _size(now, before),
        _distribution(now, before),
        _columns(now, before),
        _used(now, before),
        _origin(now, before),
    ]


def revision(current: MonthEntry | None, revised: bool) -> Outcome:
    """The outcome of the revision check. `revised`: the source has sent other values than the ledger's."""
    if current is None or current.state != "settled" or current.settled_at is None:
        return Outcome("revision", True, "was not settled before")
    since = f"version {current.version}, settled {current.settled_at:%Y-%m-%d}"
    metadata: dict[str, Any] = {"version_before": current.version or 0}
    if revised:
        return Outcome("revision", False, f"revised by its source since {since}: provisional until it agrees", metadata)
    return Outcome("revision", True, f"as in {since}", metadata)


def configured_stations(missing: Sequence[str], ended: bool) -> Outcome:
    """A warning for stations of the city's settings without data; an open month may yet have it."""
    text = f"no data from {', '.join(missing)}" if missing else "every configured station has data"
    return Outcome("configured_stations", not (missing and ended), text, {"missing": ", ".join(missing)})


def first_source(fallback_reason: str | None, provider: str) -> Outcome:
    """A warning for a month that the fallback `provider` serves, with the first source's outcome."""
    text = f"served by the first source, {provider}"
    if fallback_reason is not None:
        text = f"served by the fallback {provider}: {fallback_reason}"
    return Outcome("first_source", fallback_reason is None, text, {"provider": provider})


def _schema(now: MonthProfile, before: MonthProfile) -> Outcome:
    if not before.fields or now.provider != before.provider:
        return Outcome("schema_drift", True, f"the month before is from {before.provider or 'nowhere'}: not compared")
    new = sorted(set(now.fields) - set(before.fields))
    # A month that has just begun may lack rare columns.
    gone = sorted(set(before.fields) - set(now.fields)) if now.whole else []
    changes = [f"{word}: {', '.join(names)}" for word, names in (("new", new), ("gone", gone)) if names]
    metadata: dict[str, Any] = {"fields": len(now.fields), "new": ", ".join(new), "gone": ", ".join(gone)}
    return Outcome("schema_drift", not changes, "; ".join(changes) or f"the same {len(now.fields)} columns", metadata)


def _size(now: MonthProfile, before: MonthProfile) -> Outcome:
    if not (now.whole and before.whole) or now.provider != before.provider:
        return Outcome("size_drift", True, "not compared: not two whole months of one source")
    metadata: dict[str, Any] = {}
    odd = []
    for name in ("received", "bytes"):
        new, old = (getattr(month, name) / max(month.expected_rows, 1) for month in (now, before))
        if old:
            metadata |= {f"{name}_before": getattr(before, name), name: getattr(now, name), f"{name}_ratio": new / old}
            if not SIZE_BAND[0] <= new / old <= SIZE_BAND[1]:
                odd.append(f"{name} {getattr(before, name):,} to {getattr(now, name):,}")
    usual = f"{now.received:,} rows, {now.bytes:,} bytes"
    return Outcome("size_drift", not odd, "; ".join(odd) or usual, metadata)


def _distribution(now: MonthProfile, before: MonthProfile) -> Outcome:
    metadata: dict[str, Any] = {}
    odd = []
    for name in sorted(now.means.keys() & before.means.keys() - _NOT_COMPARED):
        mean, mean_before = now.means[name], before.means[name]
        spread, spread_before = now.spreads.get(name), before.spreads.get(name)
        metadata |= {f"{name}_mean_before": mean_before, f"{name}_mean": mean}
        if _has_moved(name, mean, mean_before, spread_before):
            odd.append(f"mean of {name} {mean_before:.1f} to {mean:.1f}")
        if spread is not None and spread_before and now.whole and before.whole:
            metadata |= {f"{name}_spread_before": spread_before, f"{name}_spread": spread}
            if not 1 / SPREAD_FACTOR <= spread / spread_before <= SPREAD_FACTOR:
                odd.append(f"spread of {name} {spread_before:.2f} to {spread:.2f}")
    usual = "means and spreads are alike" if metadata else "no column in common with the month before"
    return Outcome("distribution_drift", not odd, "; ".join(odd) or usual, metadata)


def _columns(now: MonthProfile, before: MonthProfile) -> Outcome:
    """Losses in the columns that the source gives now, also after a change of source: a column that went empty is a
    loss."""
    if not (now.whole and before.whole):
        return Outcome("column_drift", True, "not compared: not two whole months")
    lost = {
        name: (before.columns[name], share)
        for name, share in sorted(now.columns.items())
        if before.columns.get(name, 0.0) >= (COLUMN_LEAST if name in _MEASURED else WORDS_LEAST)
        and share < COLUMN_SHARE * before.columns[name]
    }
    metadata: dict[str, Any] = {f"{name}_coverage": share for name, share in now.columns.items()}
    text = "; ".join(f"{name} {was:.1%} to {share:.1%}" for name, (was, share) in lost.items())
    return Outcome("column_drift", not lost, text or "no column has lost its values", metadata)


def _used(now: MonthProfile, before: MonthProfile) -> Outcome:
    if now.used_share is None or before.used_share is None or now.provider != before.provider:
        return Outcome("used_drift", True, "not compared: not two months of one source whose rows were counted")
    if not (now.whole and before.whole):
        return Outcome("used_drift", True, "not compared: not two whole months")
    metadata: dict[str, Any] = {"used_share_before": before.used_share, "used_share": now.used_share}
    moved = abs(now.used_share - before.used_share) > USED_SHARE_BAND
    text = f"{before.used_share:.1%} of the rows used, then {now.used_share:.1%}"
    return Outcome("used_drift", not moved, text if moved else f"{now.used_share:.1%} of the rows used", metadata)


def _origin(now: MonthProfile, before: MonthProfile) -> Outcome:
    """A stand-in for the model's usual one may be as good, and is another source of error. Days ahead are of the cell
    of the days that have passed, or of another model."""
    common = now.origin.keys() & before.origin.keys()
    if now.provider != before.provider or not common:
        return Outcome("origin_drift", True, "not compared: not two months of one source that names them")
    changed = {name: (before.origin[name], now.origin[name]) for name in sorted(common)}
    moved = [f"{name} {was} to {is_}" for name, (was, is_) in changed.items() if was != is_]
    if (ahead := now.origin.get(_AHEAD, now.origin.get("grid_cell"))) != now.origin.get("grid_cell"):
        moved.append(f"grid_cell {now.origin.get('grid_cell')}, and of the days ahead {ahead}")
    metadata: dict[str, Any] = {name: str(now.origin[name]) for name in sorted(common)}
    usual = f"the same {' and '.join(sorted(common))}"
    return Outcome("origin_drift", not moved, "; ".join(moved) or usual, metadata)


def _has_moved(name: str, now: float, before: float, spread: float | None) -> bool:
    if name in MEAN_SPREADS:
        return bool(spread) and abs(now - before) > MEAN_SPREADS[name] * float(spread or 0)
    return name in MEAN_SHARE and before != 0 and abs(now - before) / abs(before) > MEAN_SHARE[name]


def _numbers(dataset: Dataset) -> list[str]:
    return [column.name for column in dataset.columns if column.kind == "number"]
