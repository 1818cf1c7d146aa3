"""The cities that failed in a run, each with its reason.

Belongs here: reading them from the run's events and the ledger. Does not: the notice (notifications.py).
"""

from __future__ import annotations

import re

import dagster as dg

from city_data.defs.keys import feeds_by_step
from city_data.defs.resources import DatabaseResource
from city_data.texts import printable
from city_data.window import Month

MOST_REASON, MOST_CITIES = 300, 5
_OUT_OF_MEMORY = re.compile(r"OOMKilled: [^\"'\n]*")
UNTRIED = "the run ended before its month was tried"


def described(instance: dg.DagsterInstance, run: dg.DagsterRun, database: DatabaseResource) -> str:
    """Subject and reason, such as `weather of madrid, 2026-09 failed: aemet: the key was refused`."""
    own, month = sorted(set(feeds_by_step(run).values())), run.tags.get("dagster/partition")
    if not own or month is None:
        return f"{' '.join(filter(None, (run.job_name, month)))} failed: {UNTRIED}"
    reasons = _reasons(database, own, Month.parse(month))
    untried = _of_launcher(instance, run) or UNTRIED
    if len(own) == 1:
        return f"{' of '.join(own[0])}, {month} failed: {reasons.get(own[0], untried)}"
    failed = _failed(instance, run)
    datasets = " and ".join(sorted({dataset for dataset, _ in own}))
    if not failed:
        return f"{datasets} of {len(own)} cities, {month} failed: {untried}"
    named = "; ".join(f"{city}: {reasons.get((dataset, city), untried)}" for dataset, city in failed[:MOST_CITIES])
    more = f"; and {len(failed) - MOST_CITIES} more" if len(failed) > MOST_CITIES else ""
    return f"{datasets} of {len(failed)} of {len(own)} cities, {month} failed: {named}{more}"


def _of_launcher(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """Why a run without a failed step ended, where its launcher knows, as of a pod that was killed for memory."""
    records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
    texts = [str(record.event_log_entry.get_dagster_event().message) for record in records]
    return next((match[0] for text in texts if (match := _OUT_OF_MEMORY.search(text))), None)


def _failed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[tuple[str, str]]:
    """Dataset and city of the steps that failed."""
    records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    failed = {record.event_log_entry.step_key for record in records}
    return sorted({feed for step, feed in feeds_by_step(run).items() if step in failed})


def _reasons(database: DatabaseResource, own: list[tuple[str, str]], month: Month) -> dict[tuple[str, str], str]:
    from city_data.store.ledger import read_months

    entries = read_months(database.open(), first=month, last=month)
    return {
        (entry.dataset, entry.city_id): " ".join(printable(entry.last_error, MOST_REASON).split())
        for entry in entries
        if entry.last_error and (entry.dataset, entry.city_id) in own
    }
