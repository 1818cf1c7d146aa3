"""The calendar of cities: holidays by level and school vacations, a row a local day."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_STATEMENTS = """
CREATE TABLE city_calendar_data (
  month date NOT NULL, city_id text NOT NULL, date timestamptz NOT NULL,
  weekday integer, is_weekend boolean,
  public_holiday text, country_holiday text, region_holiday text, town_holiday text,
  public_holiday_known boolean, country_holiday_known boolean, region_holiday_known boolean,
  town_holiday_known boolean,
  school_vacation text, school_free boolean,
  days_to_holiday integer, days_since_holiday integer, is_bridge_day boolean,
  source text NOT NULL, raw_data jsonb, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL,
  PRIMARY KEY (month, city_id, date)
) PARTITION BY RANGE (month);

COMMENT ON COLUMN city_calendar_data.month IS 'First day of the local month';
COMMENT ON COLUMN city_calendar_data.date IS 'Start of the interval';
COMMENT ON COLUMN city_calendar_data.weekday IS 'Day of the week, 0 for Monday';
COMMENT ON COLUMN city_calendar_data.is_weekend IS 'Whether the day is of the country''s weekend';
COMMENT ON COLUMN city_calendar_data.public_holiday IS 'Name of the public holiday, of any level';
COMMENT ON COLUMN city_calendar_data.country_holiday IS 'Name of the country''s holiday';
COMMENT ON COLUMN city_calendar_data.region_holiday IS 'Name of the region''s holiday';
COMMENT ON COLUMN city_calendar_data.town_holiday IS 'Name of the municipality''s own holiday';
COMMENT ON COLUMN city_calendar_data.public_holiday_known IS 'Whether all levels are known, or one names the day';
COMMENT ON COLUMN city_calendar_data.country_holiday_known IS 'Whether the country''s holidays are known';
COMMENT ON COLUMN city_calendar_data.region_holiday_known IS 'Whether the region''s holidays are known';
COMMENT ON COLUMN city_calendar_data.town_holiday_known IS 'Whether the municipality''s holidays are known';
COMMENT ON COLUMN city_calendar_data.school_vacation IS 'Name of the school vacation';
COMMENT ON COLUMN city_calendar_data.school_free IS 'Whether pupils have vacations; NULL where not known';
COMMENT ON COLUMN city_calendar_data.days_to_holiday IS 'Days to the next public holiday, 0 on one (d)';
COMMENT ON COLUMN city_calendar_data.days_since_holiday IS 'Days since the last public holiday, 0 on one (d)';
COMMENT ON COLUMN city_calendar_data.is_bridge_day IS 'Whether it is the one working day between two days off';
"""


def upgrade() -> None:
    for statement in filter(str.strip, _STATEMENTS.split(";\n")):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE city_calendar_data")
