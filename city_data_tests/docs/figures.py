"""Figures that pages repeat: columns with their ranges, the waits of every retry layer, limits, schedules.

Belongs here: figures of more than one module, as tables. Does not: the figures, which are imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from api.settings import Settings
from city_data.columns import Column
from city_data.datasets import DATASETS
from city_data.defs.assets import failures
from city_data.defs.keys import MONTHS_JOB
from city_data.defs.purge import purge_job, purge_schedule
from city_data.defs.retention import expire_job, retention_sensor
from city_data.defs.schedules import monthly_schedule, recheck_schedule, refresh_schedule
from city_data.environment import COLLECT_EVERY
from city_data.local.platform import DAGSTER_CONFIG
from city_data.pipeline import settling
from city_data.providers.http import HttpSettings
from city_data.providers.transport.response import MINUTE
from city_data_tests.docs.sources import days
from city_data_tests.docs.tables import table


def _columns() -> str:
    rows = [
        (
            dataset.name,
            f"`{column.name}`",
            column.unit or "text",
            _range(column),
            "on request" if column.on_request else "always",
            column.description,
        )
        for dataset in DATASETS.values()
        for column in (*dataset.key_columns, *dataset.columns)
    ]
    return table(("Dataset", "Column", "Unit", "Plausible range", "In a record", "Meaning"), rows)


def _range(column: Column) -> str:
    if column.allowed:
        return ", ".join(column.allowed)
    if column.low is None and column.high is None:
        return "any"
    return f"{'' if column.low is None else f'{column.low:,}'} to {'' if column.high is None else f'{column.high:,}'}"


def _retries() -> str:
    http, again = HttpSettings(), settling.REFETCH_AFTER
    lost = DAGSTER_CONFIG["run_retries"]
    assert isinstance(lost, dict)
    rows = [
        (
            "1. HTTP client",
            f"{http.attempts} attempts a call",
            f"the source's `Retry-After`, else {http.backoff:g} s doubled with jitter; a wait beyond "
            f"{http.longest_wait:g} s or the deadline ({http.deadline:g} s, downloads {http.download_deadline:,.0f} s) "
            "gives up",
        ),
        (
            "2. Dagster step",
            f"{failures.MAX_RETRIES} retries a step",
            f"the wait that the last attempt named, else {failures.RETRY_WAIT_S:g} s; beyond "
            f"{failures.LONGEST_WAIT_S:g} s the step fails at once",
        ),
        (
            "3. Daily refresh",
            "until the month is settled",
            f"cron `{refresh_schedule([]).cron_schedule}` UTC; a month requested within {days(again)} is left out",
        ),
    ]
    extra = f"A run that was lost with its process is started again {lost['max_retries']} time; a failed step is not."
    return f"{table(('Layer', 'How often', 'Wait'), rows)}\n\n{extra}"


def _aemet_waits() -> str:
    http = HttpSettings()
    retries = failures.MAX_RETRIES
    rows = [
        (
            "1. HTTP client",
            f"{MINUTE:g} s between attempts; {http.deadline // MINUTE:g} attempts fit into the deadline of "
            f"{http.deadline:g} s",
        ),
        ("2. Dagster step", f"{MINUTE:g} s between tries of the step, {retries} times"),
        ("3. Daily refresh", "the next day"),
    ]
    return table(("Layer", "After a 429 without `Retry-After`"), rows)


def _limits() -> str:
    fields = {name: field.get_default() for name, field in Settings.model_fields.items()}
    rows = [
        ("Requests of one `sub`", f"{fields['api_rate_per_s']} a second, {fields['api_rate_burst']} at once", "429"),
        ("Requests being answered", f"{fields['api_concurrency']}", "503"),
        ("Open sockets", f"{fields['api_connections']}", "the longest idle one is closed"),
        ("Range", f"{fields['api_max_range_days']:,} days", "422"),
        ("Body", f"{fields['api_max_body_bytes']:,} bytes", "413"),
    ]
    return table(("Limit of one reader process", "Default", "Beyond it"), rows)


def _automation() -> str:
    schedules = [monthly_schedule([]), refresh_schedule([]), recheck_schedule([])]
    rows = [(f"`{one.cron_schedule}`", f"schedule `{one.name}`", one.description or "") for one in schedules]
    assert all(one.job_name == MONTHS_JOB for one in schedules)
    purge = purge_schedule(purge_job())
    rows.append((f"`{purge.cron_schedule}`", f"schedule `{purge.name}`", purge.description or ""))
    sensor = retention_sensor([], expire_job([]))
    every = f"every {sensor.minimum_interval_seconds or 0:,} s"
    rows.append((every, f"sensor `{sensor.name}`", sensor.description or ""))
    poll = f"every {COLLECT_EVERY.default} s"
    rows.append((poll, "`city-data collect`", "Polls live feeds; `up` and `demo` start it"))
    return table(("When (cron in UTC)", "What", "Does"), rows)


PARTS: Mapping[str, Callable[[], str]] = {
    "columns": _columns,
    "retries": _retries,
    "aemet waits": _aemet_waits,
    "limits of callers": _limits,
    "automation": _automation,
}
