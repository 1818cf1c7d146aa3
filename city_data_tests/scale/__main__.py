"""`python -m city_data_tests.scale [--runs]`: CPU, time and database growth of a month of many cities, before and now.

Belongs here: the databases, the sandbox and the table. Does not: a run (run.py).
Before: a run a city, which builds the definitions of all cities, with the storage of dagster-postgres. Now: a run for
50 cities of a provider, which builds theirs, with pooled connections. Daemon and code location are not in the figures.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import yaml

from city_data.local import dagster_config
from city_data.local.embedded import EmbeddedPostgres
from city_data.sandbox import running
from city_data.store.database import Database
from city_data.store.migrate import upgrade
from city_data_tests import world
from city_data_tests.scale import registry

LOADED, CITIES, A_RUN = (6, 100, 500), 500, 50
WAYS = {"before": ("whole", 1), "now": ("own", A_RUN)}


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="city_data-scale-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        postgres = EmbeddedPostgres(folder / "postgres", durable=False)
        postgres.start()
        try:
            with running(folder / "sandbox", as_of=world.AS_OF) as sandbox:
                for way in WAYS:
                    postgres.create_database(f"dagster_{way}")
                    postgres.create_database(f"city_data_{way}")
                    upgrade(Database(postgres.url(f"city_data_{way}")))
                variables = world.environment(folder, sandbox, "", "")
                measure(folder, postgres, variables)
        finally:
            postgres.stop(keep=False)


def measure(folder: Path, postgres: EmbeddedPostgres, variables: dict[str, str]) -> None:
    for count in () if "--runs" in sys.argv else LOADED:
        file = registry.write(folder / f"cities-{count}.yaml", count)
        for label, (way, most) in WAYS.items():
            environ = environment(folder, postgres, variables, label, file)
            _, _, output = run(environ, way, min(most, count), "2026-09", "--load")
            report(f"{count:4d} cities, {label:6s}: CPU to load a run beyond importing Dagster {output[0][7:]} s")
    file = registry.write(folder / f"cities-{CITIES}.yaml", CITIES)
    for label, (way, most) in WAYS.items():
        environ = environment(folder, postgres, variables, label, file)
        run(environ, way, most, "2026-08")  # creates tables and first rows
        before = size(postgres, label)
        cpu, wall, output = run(environ, way, most, "2026-09")
        grown = size(postgres, label) - before
        report(
            f"{CITIES} cities, {label:6s}: a run of {most:2d} {output[-1]}: CPU {cpu:.1f} s, {wall:.1f} s, "
            f"Dagster's database +{grown / 1e3:.0f} kB; per city and month {cpu / most:.2f} s, {wall / most:.2f} s, "
            f"{grown / 1e3 / most:.0f} kB"
        )


def environment(
    folder: Path, postgres: EmbeddedPostgres, variables: dict[str, str], label: str, file: Path
) -> dict[str, str]:
    home = folder / f"home-{label}"
    home.mkdir(exist_ok=True)
    config = dict(dagster_config.DAGSTER_CONFIG)
    if label == "before":
        config["storage"] = {"postgres": {"postgres_url": {"env": "CITY_DATA_DAGSTER_URL"}}}
    (home / "dagster.yaml").write_text(yaml.safe_dump(config))
    return {
        **os.environ,
        **variables,
        "CITY_DATA_DATABASE_URL": postgres.url(f"city_data_{label}"),
        "CITY_DATA_DAGSTER_URL": postgres.url(f"dagster_{label}"),
        "CITY_DATA_REDIS_URL": "",
        "CITY_DATA_RAW_URL": str(folder / f"raw-{label}"),
        "CITY_DATA_CITIES": str(file),
        "DAGSTER_HOME": str(home),
        "ENABLED_CITIES": ",".join(city["city_id"] for city in yaml.safe_load(file.read_text())["cities"]),
    }


def run(environ: dict[str, str], way: str, most: int, month: str, *options: str) -> tuple[float, float, list[str]]:
    """CPU and time of a run's process, and its lines."""
    command = [sys.executable, "-W", "ignore", "-m", "city_data_tests.scale.run", way, str(most), month, *options]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        command, env=environ, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.monotonic() - began, done.stdout.strip().splitlines()


def size(postgres: EmbeddedPostgres, label: str) -> int:
    with psycopg.connect(postgres.url(f"dagster_{label}"), autocommit=True) as connection:
        connection.execute("VACUUM")
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    return int(row[0])


def report(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
