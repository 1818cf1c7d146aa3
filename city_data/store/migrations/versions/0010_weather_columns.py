"""Extremes of temperature, sunshine, clouds, gusts and snow in weather."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_COLUMNS = {
    "temperature_min": "Lowest air temperature of the period (°C)",
    "temperature_max": "Highest air temperature of the period (°C)",
    "sunshine_duration": "Sunshine in the period (min)",
    "cloud_cover": "Mean share of the sky under clouds (%)",
    "wind_gust": "Strongest gust of the period (m/s)",
    "snowfall": "Depth of the snow that fell in the period (cm)",
}


def upgrade() -> None:
    added = ", ".join(f"ADD COLUMN {name} double precision" for name in _COLUMNS)
    op.execute(f"ALTER TABLE city_weather_data {added}")
    for name, comment in _COLUMNS.items():
        op.execute(f"COMMENT ON COLUMN city_weather_data.{name} IS '{comment}'")
    # Open-Meteo sends more from now on because more is requested: its next answer is the shape to compare with, and not
    # a change of the source that would be reported for a week.
    op.execute("DELETE FROM source_shape WHERE provider = 'open_meteo'")


def downgrade() -> None:
    dropped = ", ".join(f"DROP COLUMN {name}" for name in _COLUMNS)
    op.execute(f"ALTER TABLE city_weather_data {dropped}")
