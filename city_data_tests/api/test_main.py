"""The reader's process rejects invalid settings before it listens."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from city_data.local.embedded import free_port
from city_data_tests.api.conftest import HERE, TRAFFIC, Load
from city_data_tests.bench.serving.world import await_answer


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("CITY_DATA_RETENTION_MONTHS", "0", "CITY_DATA_RETENTION_MONTHS='0'"),
        ("CITY_DATA_AS_OF", "yesterday", "CITY_DATA_AS_OF='yesterday'"),
        ("CITY_DATA_CITIES", "/nowhere.yaml", "/nowhere.yaml: cannot be read"),
        ("ENABLED_CITIES", "madird", "did you mean madrid?"),
        ("CITY_DATA_REDIS_URL", "http://:secret@host", "the URL of Redis is not of the form"),
        ("API_DATABASE_URL", "mysql://user:secret@host/name", "the database's URL is not of the form"),
    ],
)
def test_wrong_variable_is_one_line_and_exit_code_2(tmp_path: Path, variable: str, value: str, message: str) -> None:
    settings = {"API_DATABASE_URL": "postgresql://user:secret@127.0.0.1:1/name", "AUTH_MODE": "none", variable: value}
    done = subprocess.run(
        [sys.executable, "-m", "api"],
        env={**os.environ, **settings},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "secret" not in done.stderr


def test_full_log_device_costs_no_answer(database_url: str, load: Load, tmp_path: Path) -> None:
    """At 166940c 111 of 120 repeats had no answer."""
    load("traffic", "2025-10")
    port, metrics_port = free_port(), free_port()
    variables = {"API_DATABASE_URL": database_url, "AUTH_MODE": "none", "API_PORT": str(port)}
    variables |= {"API_METRICS_PORT": str(metrics_port), "ENABLED_CITIES": "madrid"}
    with Path("/dev/full").open("wb") as full, (tmp_path / "errors").open("wb") as errors:
        reader = subprocess.Popen([sys.executable, "-m", "api"], env=variables, stdout=full, stderr=errors)
        try:
            await_answer(f"http://127.0.0.1:{port}/health/live", reader)
            query = HERE | {"start_date": "2025-10-01", "end_date": "2025-10-02"}
            url = f"http://127.0.0.1:{port}{TRAFFIC}"
            answers = [httpx.get(url, params=query).status_code for _ in range(20)]
            answers.append(httpx.get(f"http://127.0.0.1:{port}/api/v1/cities").status_code)
            metrics = httpx.get(f"http://127.0.0.1:{metrics_port}/metrics").text
        finally:
            reader.terminate()
            reader.wait(15)
    assert answers == [200] * 21
    assert "external_log_lines_lost_total 21.0" in metrics
