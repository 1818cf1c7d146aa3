"""The gate between parse and publish: one rule for every provider's month, before it is published.

Belongs here: dropping rows and nulling values of a parsed month, with counts, and the checks at the source's own
resolution, since a daily mean hides an impossible hour. Does not: the checks themselves (frames/checks.py), reading
a source's cells (providers/), or comparing months (drift.py).

- A row after the fetch, where the dataset has no months ahead: a modelled source sends forecasts, so it is rejected as
  `future`; no measurement can be of the future, so a few such rows become NULL, by `future:column`, and more refuse the
  month.
- A value outside its column's range becomes NULL, by `implausible:column`; more than the share that the provider
  declares refuse the month, whether they are found here or by its parser.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from city_data.datasets import DATASETS, Dataset, expected_stamps
from city_data.frames import canonical, checks
from city_data.frames.checks import Odd, Outcome
from city_data.providers.base import Capabilities, ParsedMonth, Request

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Admitted:
    """The month without refused values, its frame canonical at the source's resolution, and the outcomes of its
    checks."""

    parsed: ParsedMonth
    outcomes: list[Outcome]


def admit(parsed: ParsedMonth, request: Request, capabilities: Capabilities) -> Admitted:
    """Apply the rules and checks of this module. Raises ValueError for a frame that cannot be made canonical."""
    dataset, zone = DATASETS[capabilities.dataset], request.location.timezone
    ended = request.as_of >= request.month.bounds(zone)[1]
    whole = replace(parsed, frame=canonical.canonical_frame(parsed.frame, dataset))
    timely, future = _without_future(whole, dataset, capabilities, request.as_of)
    frame, odd = without_implausible(timely.frame, dataset)
    nulled = {f"{checks.IMPLAUSIBLE}:{name}": cells.cells for name, cells in odd.items()}
    admitted = replace(timely, frame=frame, nulled=merged(timely.nulled, nulled))
    counts = canonical.observed(frame, dataset)
    observed = {name: counts[name] for name in capabilities.columns}
    return Admitted(
        admitted,
        [
            checks.stamps(frame, dataset, expected_stamps(request.month, zone, capabilities.resolution), future),
            checks.ranges(_with_parser_counts(odd, parsed, capabilities), capabilities.implausible_share),
            checks.readable(admitted.nulled, admitted.used, observed),
            checks.used_rows(
                admitted.received, admitted.used, admitted.rejected, capabilities.minimum_used_share, ended
            ),
            checks.readable_rows(admitted.received, admitted.rejected),
            *checks.agreement(admitted.used, admitted.rejected, capabilities.forward_only),
            *checks.extremes(frame, dataset),
            checks.unique(frame, dataset),
            checks.inside(frame, request.month, zone),
            checks.promised(
                {name: observed[name] for name in dataset.promised_names if name in observed}
                | (dict(canonical.rows_by_key(frame, dataset)) if ended else {})
            ),
            checks.nulled_values(admitted.nulled, admitted.used),
        ],
    )


def without_implausible(frame: pd.DataFrame, dataset: Dataset) -> tuple[pd.DataFrame, dict[str, Odd]]:
    """`frame` (canonical) with NULL for every value outside its column's range, and those values, by column."""
    outside = checks.implausible(frame, dataset)
    odd = {
        name: Odd(len(positions), int(frame[name].notna().sum()), str(frame[name].iloc[positions[0]]))
        for name, positions in outside.items()
    }
    nulls = {name: frame[name].mask(frame.index.isin(positions), None) for name, positions in outside.items()}
    return (canonical.canonical_frame(frame.assign(**nulls), dataset) if outside else frame), odd


def merged(counts: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(counts) + Counter(more))


def _without_future(
    parsed: ParsedMonth, dataset: Dataset, capabilities: Capabilities, as_of: datetime
) -> tuple[ParsedMonth, Odd]:
    """The month without rows after the fetch, where its dataset has no months ahead: rejected if modelled, whose frame
    has one row for each source row, else nulled and counted."""
    frame = parsed.frame
    late = frame[frame["date"] > as_of]
    if late.empty or dataset.months_ahead:
        return parsed, Odd(0, len(frame))
    timely = replace(parsed, frame=frame.drop(index=late.index).reset_index(drop=True))
    if capabilities.modelled:
        rejected = merged(parsed.rejected, {checks.FUTURE: len(late)})
        return replace(timely, used=parsed.used - len(late), rejected=rejected), Odd(0, len(frame))
    values = {f"{checks.FUTURE}:{name}": count for name, count in canonical.observed(late, dataset).items() if count}
    rows = late[late[dataset.column_names].notna().any(axis=1)]
    example = str(rows["date"].iloc[0]) if len(rows) else ""
    return replace(timely, nulled=merged(parsed.nulled, values)), Odd(len(rows), len(frame), example)


def _with_parser_counts(odd: dict[str, Odd], parsed: ParsedMonth, capabilities: Capabilities) -> dict[str, Odd]:
    """`odd` and the values that the parser nulled as implausible, counted by the source's own field names."""
    reasons = {checks.IMPLAUSIBLE} if capabilities.negative_is_missing else {checks.IMPLAUSIBLE, checks.NEGATIVE}
    merged_odd = dict(odd)
    for name, cells in checks.nulled_by_field(parsed.nulled, reasons).items():
        here = odd.get(name, Odd(0, 0))
        merged_odd[name] = Odd(here.cells + cells, max(here.of, parsed.used), here.example)
    return merged_odd
