"""The reader's process rejects invalid settings before it listens."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("CITY_DATA_RETENTION_MONTHS", "0", "CITY_DATA_RETENTION_MONTHS='0'"),
        ("CITY_DATA_AS_OF", "yesterday", "CITY_DATA_AS_OF='yesterday'"),
        ("CITY_DATA_CITIES", "/nowhere.yaml", "/nowhere.yaml: cannot be read"),
        ("ENABLED_CITIES", "madird", "did you mean madrid?"),
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
