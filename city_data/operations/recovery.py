"""Recovery of runs whose process has ended without reporting it: killed, or lost with the machine.

Belongs here: marking the runs of this process, and failing the dead ones. Does not: a run's own errors.
Dagster's launcher on one machine does not watch its workers across a restart of the code server: such a run stays
STARTED for ever, and keeps its place in the queue and in its provider's pool.
"""

from __future__ import annotations

import os
import re
import socket

import dagster as dg
import psutil

PROCESS_TAG = "city_data/process"
_IN_PROGRESS = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_WORKER = re.compile(r"Started process for run \(pid: (\d+)\)")
_CAUSE = "The process of this run ended without reporting a result."


def process_tag(number: int | None = None) -> str:
    """The value of `PROCESS_TAG` for runs that a process, this one by default, executes: host, id and start time."""
    process = psutil.Process(number or os.getpid())
    return f"{socket.gethostname()}/{process.pid}/{process.create_time():.2f}"


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Fail the runs in progress without a living process, and free their slots; returns their ids.

    Only while no daemon and no code server of this instance runs: a run without the tag is one of theirs.
    """
    dead = []
    for run in instance.get_runs(dg.RunsFilter(statuses=_IN_PROGRESS)):
        tag = run.tags.get(PROCESS_TAG)
        if tag is None or not is_alive(tag):
            _fail(instance, run)
            dead.append(run.run_id)
    return dead


def fail_lost_launches(instance: dg.DagsterInstance) -> list[str]:
    """Fail the runs whose launch ended with the daemon, before a process was reported; returns their ids.

    Only while no daemon runs. Dagster itself gives such a run two minutes, in which it keeps its provider's slot. A
    code server that starts its process after all finds the run finished, and the process ends.
    """
    lost = []
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING])):
        worker = reported_worker(instance, run.run_id)
        if PROCESS_TAG not in run.tags and (worker is None or not is_process_alive(*worker)):
            _fail(instance, run)
            lost.append(run.run_id)
    return lost


def reported_worker(instance: dg.DagsterInstance, run_id: str) -> tuple[int, float] | None:
    """The process that the code server started for a run, and the moment of its report; None without one."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        if match := _WORKER.search(entry.message):
            return int(match[1]), entry.timestamp
    return None


def fail_runs_of(instance: dg.DagsterInstance, tag: str) -> list[str]:
    """Fail the runs in progress of a process that has ended; returns their ids. `tag` is its `process_tag`."""
    runs = instance.get_runs(dg.RunsFilter(statuses=_IN_PROGRESS, tags={PROCESS_TAG: tag}))
    for run in runs:
        _fail(instance, run)
    return [run.run_id for run in runs]


def _fail(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    if run.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, _CAUSE)
    else:
        instance.report_run_failed(run, _CAUSE)
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def is_alive(tag: str) -> bool:
    """Whether the process of a `process_tag` runs on this machine."""
    host, _, process = tag.partition("/")
    if host != socket.gethostname():
        return False  # a home has one machine, whose name a container changes at each start
    number, _, started = process.partition("/")
    running = _process(int(number))
    return running is not None and f"{running.create_time():.2f}" == started


def is_process_alive(number: int, reported: float) -> bool:
    """Whether the process that had this id at the moment `reported`, in Unix seconds, still runs."""
    running = _process(number)
    return running is not None and running.create_time() <= reported


def _process(number: int) -> psutil.Process | None:
    try:
        running = psutil.Process(number)
        return None if running.status() == psutil.STATUS_ZOMBIE else running
    except psutil.NoSuchProcess:
        return None
