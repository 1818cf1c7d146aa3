"""One run's process, as Dagster starts it: `python -m city_data_tests.scale.run WAY CITIES MONTH [--load]`.

Belongs here: loading the job and executing it. Does not: the databases and the sandbox (__main__.py).
"""

from __future__ import annotations

import sys
import time

import dagster as dg
import dagster._grpc.impl
import dagster_postgres  # noqa: F401  counted as Dagster's
from dagster._core.definitions.reconstruct import ReconstructableRepository

imported = time.process_time()


def main(way: str, cities: int, month: str, load_only: bool) -> None:
    """`whole` builds the definitions of all feeds first, as every run did; `own` those of its own cities."""
    keys = {dg.AssetKey([f"city_{n:04d}", f"weather_{s}"]) for s in ("raw", "monthly", "cache") for n in range(cities)}
    if way == "whole":
        from city_data.definitions import defs

        job = defs().get_repository_def().get_maybe_subset_job_def("city_months", asset_selection=keys)
    else:
        repository = ReconstructableRepository.for_module("city_data.definitions", "repository").get_definition()
        job = repository.get_maybe_subset_job_def("city_months", asset_selection=keys)
    sys.stdout.write(f"loaded {time.process_time() - imported:.2f}\n")
    if not load_only:
        with dg.DagsterInstance.get() as instance:
            result = job.execute_in_process(instance=instance, partition_key=month, raise_on_error=False)
        sys.stdout.write(f"ended {'well' if result.success else 'badly'}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], "--load" in sys.argv)
