"""The Slack notice of a source that sends another shape than before.

Belongs here: the sensor and its text. Does not: the comparison (pipeline/source_shape.py), posting (notifications.py).
Each change is posted once, and again at the next tick where Slack refuses it.
"""

from typing import TYPE_CHECKING

import dagster as dg

from city_data import environment
from city_data.defs.notifications import post_in_order
from city_data.defs.resources import DatabaseResource
from city_data.defs.run_failures import MOST_REASON
from city_data.texts import printable

if TYPE_CHECKING:
    from city_data.store.source_shapes import SourceShape


def shape_text(row: "SourceShape") -> str:
    """The Slack message of a changed shape."""
    changes = printable("; ".join(row.changes), MOST_REASON)
    return (
        f"city_data: {row.provider} has changed what it sends for {row.dataset} of {row.city_id}, {row.month}: "
        f"{changes}; its months are checked as always, `city-data doctor --live` shows more"
    )


def shape_notice() -> dg.SensorDefinition:
    @dg.sensor(
        name="source_shape_notice",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Posts sources whose shape has changed to Slack if {environment.SLACK_WEBHOOK_URL} is set",
    )
    def sensor(context: dg.SensorEvaluationContext, database: DatabaseResource) -> dg.SkipReason:
        from city_data.store.source_shapes import read_shapes

        if not environment.SLACK_WEBHOOK_URL.get():
            return dg.SkipReason(f"{environment.SLACK_WEBHOOK_URL} is not set")
        rows = sorted((row for row in read_shapes(database.open()) if row.changes), key=_order)
        since = context.cursor
        return post_in_order(
            context, ((shape_text(row), _order(row)) for row in rows if since is None or _order(row) > since)
        )

    return sensor


def _order(row: "SourceShape") -> str:
    """Sorts by time, then by source: several change at one moment."""
    since = "" if row.changed_at is None else f"{row.changed_at.timestamp():017.6f}"
    return f"{since} {row.city_id}/{row.dataset}/{row.provider}"
