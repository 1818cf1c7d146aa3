"""The skill of a month's forecasts in Dagster's UI. Belongs here: its check, with the errors, which the UI plots.

Does not: pairs and errors (store/skill.py).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from city_data.store.skill import LeftOut, Skill

CHECK = "skill"
REPORTED = {
    CHECK: "How far the month's forecasts were from what was observed, by column and days of lead: it reports, and "
    "never fails. Pairs appear once the observed month is stored too"
}


def skill_result(key: dg.AssetKey, skill: Sequence["Skill"], left_out: Sequence["LeftOut"]) -> dg.AssetCheckResult:
    pairs = sum(one.count for one in skill)
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=CHECK,
        passed=True,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{pairs:,} pairs of forecast and observed values" if pairs else "nothing observed is stored yet",
        metadata={
            **{f"mae_{one.column}_{one.lead_days}_days_ahead": one.mae for one in skill},
            "errors": dg.MetadataValue.md(_table(skill)),
            "left_out": ", ".join(f"{one.column} of days of {one.day}: {one.count}" for one in left_out) or "none",
        },
    )


def _table(skill: Sequence["Skill"]) -> str:
    rows = [f"| {one.column} | {one.lead_days} | {one.bias:.2f} | {one.mae:.2f} | {one.count} |" for one in skill]
    return "\n".join(["| column | days ahead | bias | mean absolute error | pairs |", "|---|---|---|---|---|", *rows])
