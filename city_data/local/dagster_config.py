"""Dagster's configuration on one machine, written to the home as dagster.yaml.

Belongs here: the queue, the pools and the monitoring of runs. Does not: the processes (platform.py), or a cluster's
configuration (helm/city-data/templates/configmap-dagster.yaml), which agrees with this one on pools and monitoring.
"""

from __future__ import annotations

from city_data import environment

CONCURRENT_RUNS = 2
LONGEST_RUN_S = 10_800
# Otherwise a backfill that is evaluated while the code server restarts fails for good, and its runs are terminated.
DAEMON_VARIABLES = {"DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR": "1"}
# Environment names, not values: a literal password here would be copied into every run's arguments.
DAGSTER_CONFIG: dict[str, object] = {
    "storage": {
        "custom": {
            "module": "city_data.defs.storage",
            "class": "PooledPostgresStorage",
            "config": {"postgres_url": {"env": environment.DAGSTER_URL.name}},
        }
    },
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},  # hides the newsletter invitation on the first page
    "retention": {
        "schedule": {"purge_after_days": {"skipped": 7, "failure": 90, "success": 365}},
        "sensor": {"purge_after_days": {"skipped": 3, "failure": 30, "success": 365}},
    },
    "run_coordinator": {
        "module": "dagster.core.run_coordinator",
        "class": "QueuedRunCoordinator",
        # A code server that is being restarted must not fail the run that is launched meanwhile.
        "config": {
            "dequeue_interval_seconds": 1,
            "max_user_code_failure_retries": 20,
            "user_code_failure_retry_delay": 3,
        },
    },
    # A pool's slot belongs to a run, not to a step: a run waits for it in the queue without a process, and the slot of
    # a dead run is free when the run has failed. Within a run the executor would wait at full CPU (dagster 20367).
    "concurrency": {"runs": {"max_concurrent_runs": CONCURRENT_RUNS}, "pools": {"granularity": "run"}},
    "run_launcher": {"module": "city_data.local.run_launcher", "class": "WatchedRunLauncher"},
    "run_monitoring": {
        "enabled": True,
        "poll_interval_seconds": 10,
        "start_timeout_seconds": 120,
        "cancel_timeout_seconds": 15,
        "max_runtime_seconds": LONGEST_RUN_S,
        "free_slots_after_run_end_seconds": 10,
    },
    "run_retries": {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False},
}
