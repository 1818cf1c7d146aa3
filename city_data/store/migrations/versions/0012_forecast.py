"""The dataset of forecasts: hours by the days of lead that they were forecast with."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_STATEMENTS = """
CREATE TABLE city_forecast_data (
  month date NOT NULL, city_id text NOT NULL, date timestamptz NOT NULL, lead_days integer NOT NULL,
  temperature double precision, precipitation double precision, humidity double precision,
  wind_speed double precision, pressure double precision, cloud_cover double precision,
  source text NOT NULL, raw_data jsonb, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL,
  PRIMARY KEY (month, city_id, date, lead_days)
) PARTITION BY RANGE (month);

COMMENT ON COLUMN city_forecast_data.month IS 'First day of the local month';
COMMENT ON COLUMN city_forecast_data.date IS 'Start of the interval';
COMMENT ON COLUMN city_forecast_data.lead_days IS
  'Forecast at least so many times 24 hours before the hour began, precipitation before it ended (d)';
COMMENT ON COLUMN city_forecast_data.temperature IS 'Mean air temperature of the period (°C)';
COMMENT ON COLUMN city_forecast_data.precipitation IS 'Precipitation that fell in the period (mm)';
COMMENT ON COLUMN city_forecast_data.humidity IS 'Mean relative humidity of the period (%)';
COMMENT ON COLUMN city_forecast_data.wind_speed IS 'Mean wind speed of the period (m/s)';
COMMENT ON COLUMN city_forecast_data.pressure IS 'Mean pressure at mean sea level (hPa)';
COMMENT ON COLUMN city_forecast_data.cloud_cover IS 'Mean share of the sky under clouds (%)'
"""


def upgrade() -> None:
    for statement in _STATEMENTS.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE city_forecast_data")
