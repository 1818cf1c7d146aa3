"""CPU to load a run's job, beyond importing Dagster: `python -P loading.py KEYS`, a JSON list of the run's asset keys.

Belongs here: what a run's process does before its first step. Does not: imports of this package, since it runs with the
modules of an earlier release too; the registry and the comparison (__main__.py).
"""

from __future__ import annotations

import importlib
import json
import sys
import time

import dagster as dg
import dagster._grpc.impl
import dagster_postgres  # noqa: F401  counted as Dagster's
from dagster._core.definitions.reconstruct import ReconstructableRepository

MODULE = "city_data.definitions"


def main(keys: list[list[str]]) -> None:
    imported = time.process_time()
    name = "repository" if hasattr(importlib.import_module(MODULE), "repository") else "defs"
    repository = ReconstructableRepository.for_module(MODULE, name).get_definition()
    job = repository.get_maybe_subset_job_def("__ASSET_JOB", asset_selection={dg.AssetKey(key) for key in keys})
    if len(job.graph.node_dict) != len(keys):
        raise RuntimeError(f"the job has {len(job.graph.node_dict)} steps, not {len(keys)}")
    sys.stdout.write(f"{time.process_time() - imported:.3f}\n")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
