"""Everything that is Dagster: assets, checks, schedules, sensors, jobs, resources, and the loop that assembles them."""
