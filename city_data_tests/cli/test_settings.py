"""Wrong and missing settings at the terminal: one line on stderr and exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from city_data.cli import errors
from city_data.cli.commands import app
from city_data.store.connections import shared_cache
from city_data_tests.terminal import assert_one_line, command


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"CITY_DATA_AS_OF": "yesterday"}, "CITY_DATA_AS_OF='yesterday'"),
        ({"CITY_DATA_AS_OF": "0001-01-01"}, "CITY_DATA_AS_OF"),
        ({"CITY_DATA_AS_OF": "9999-12-31T23:59:59-12:00"}, "CITY_DATA_AS_OF"),
        ({"CITY_DATA_RETENTION_MONTHS": "0"}, "CITY_DATA_RETENTION_MONTHS='0'"),
        ({"CITY_DATA_CITIES": "/nowhere.yaml"}, "/nowhere.yaml: cannot be read"),
        ({"CITY_DATA_CITIES": "/"}, "cannot be read"),
        ({"ENABLED_CITIES": "tonw"}, "ENABLED_CITIES: unknown city 'tonw'; did you mean town?"),
        ({"ENABLED_CITIES": ""}, "no city that has a source is enabled"),
        ({"CITY_DATA_DATABASE_URL": "not a url"}, "the database's URL is not of the form"),
        ({"CITY_DATA_DATABASE_URL": "postgresql://user:secret@host:port/x"}, "the database's URL is not of the form"),
        ({"CITY_DATA_DATABASE_URL": "mysql://user:secret@host/x"}, "the database's URL is not of the form"),
        ({"CITY_DATA_DATABASE_URL": "postgresql://user:secret@127.0.0.1:1/x"}, "the database cannot be used"),
    ],
)
def test_wrong_setting_is_one_line(
    variables: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    change: dict[str, str],
    expected: str,
) -> None:
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    assert errors.run(app, ["status"], "city-data") == 2
    text = capfd.readouterr().err
    assert_one_line(text, expected)
    assert "secret" not in text


@pytest.mark.parametrize("content", [b"cities: [", b"\xff\xfe\xff", b"cities: [{day: 2026-13-45}]", b"", b"- 1"])
def test_wrong_registry_file_is_one_line(
    variables: dict[str, str], capfd: pytest.CaptureFixture[str], content: bytes
) -> None:
    Path(variables["CITY_DATA_CITIES"]).write_bytes(content)
    assert errors.run(app, ["status"], "city-data") == 2
    assert_one_line(capfd.readouterr().err, variables["CITY_DATA_CITIES"])


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("up", {"API_PORT": "eighty"}, "API_PORT='eighty' is not a port"),
        ("demo", {"UI_PORT": "70000"}, "UI_PORT='70000' is not a port"),
        ("exporter", {"EXPORTER_PORT": "x"}, "EXPORTER_PORT"),
        ("collect", {"CITY_DATA_COLLECT_EVERY": "inf"}, "not a finite number"),
    ],
)
def test_wrong_variable_of_one_command_is_one_line(
    variables: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    name: str,
    change: dict[str, str],
    expected: str,
) -> None:
    for variable, value in change.items():
        monkeypatch.setenv(variable, value)
    assert errors.run(app, [name], "city-data") == 2
    assert_one_line(capfd.readouterr().err, expected)
    assert not Path(variables["CITY_DATA_HOME"]).exists()


@pytest.mark.parametrize("name", ["replay", "expire"])
def test_missing_setting_of_a_deployment_is_one_line(
    variables: dict[str, str],
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    name: str,
) -> None:
    monkeypatch.setenv("CITY_DATA_DATABASE_URL", database_url)
    assert errors.run(app, [name], "city-data") == 2
    assert_one_line(capfd.readouterr().err, "CITY_DATA_RAW_URL is not set")


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("backfill", {}, "DAGSTER_HOME names no usable Dagster"),
        ("backfill", {"DAGSTER_HOME": "/nowhere"}, "DAGSTER_HOME names no usable Dagster"),
        ("expire", {"CITY_DATA_RAW_URL": "nope://bucket"}, "the URL of the raw archive cannot be used"),
        ("expire", {"CITY_DATA_REDIS_URL": "redis://:secret@host:port"}, "the URL of Redis is not of the form"),
        (
            "expire",
            {"CITY_DATA_CACHE_TTL_DAYS": "never", "CITY_DATA_REDIS_URL": "redis://127.0.0.1:1/0"},
            "CITY_DATA_CACHE_TTL_DAYS='never'",
        ),
    ],
)
def test_wrong_setting_of_a_deployment_is_one_line(
    variables: dict[str, str],
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    name: str,
    change: dict[str, str],
    expected: str,
) -> None:
    own = {"CITY_DATA_DATABASE_URL": database_url, "CITY_DATA_RAW_URL": str(tmp_path), **change}
    for variable, value in own.items():
        monkeypatch.setenv(variable, value)
    shared_cache.cache_clear()  # a process has one client an address, with the settings of its first use
    assert errors.run(app, [name], "city-data") == 2
    text = capfd.readouterr().err
    assert_one_line(text, expected)
    assert "secret" not in text


def test_wrong_archive_of_the_collector_is_one_line(
    variables: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    """In a process of its own: the collector directs the log of its whole process."""
    own = {**variables, "CITY_DATA_DATABASE_URL": database_url, "CITY_DATA_RAW_URL": "gs://bucket"}
    done = command(own, "collect", "--alive", str(tmp_path / "alive"))
    assert done.returncode == 2, done.stderr
    assert_one_line(done.stderr, "the URL of the raw archive cannot be used")
