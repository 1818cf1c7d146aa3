"""`city-data get` gives the reader's own bytes, and its errors in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from city_data.cli import errors
from city_data.cli.commands import app
from city_data.local.platform import DEMO_TENANT
from city_data.sandbox import Sandbox
from city_data_tests.terminal import assert_one_line
from city_data_tests.world import World, environment

SEPTEMBER = ("--from", "2026-09", "--to", "2026-09")
ROUTE = f"/api/v1/tenants/{DEMO_TENANT}/external/historical-weather"


@pytest.fixture
def stored(world: World) -> World:
    world.load("weather", "2026-09")
    return world


@pytest.fixture
def settings(
    shared_sandbox: Sandbox, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """Those of a deployment without data; what else is set ends with the test."""
    for name, value in environment(tmp_path, shared_sandbox, database_url, redis_url="").items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def served(**query: str) -> bytes:
    with TestClient(create_app()) as client:
        answer = client.get(ROUTE, params={"city_id": "madrid", **query})
    assert answer.status_code == 200
    return answer.content


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_file_and_output_have_the_bytes_that_the_api_answers(
    stored: World, capfdbinary: pytest.CaptureFixture[bytes], format_: str
) -> None:
    file = stored.folder / "history"
    arguments = ["get", "madrid", "weather", *SEPTEMBER, "--format", format_]
    assert errors.run(app, [*arguments, "--out", str(file)], "city-data") == 0
    printed = capfdbinary.readouterr()
    assert printed.out == b""
    assert printed.err.startswith(b"source sandbox:aemet; version ")
    assert errors.run(app, arguments, "city-data") == 0
    assert capfdbinary.readouterr().out == file.read_bytes()
    assert file.read_bytes() == served(start_date="2026-09-01", end_date="2026-09-30", format=format_)


def test_days_and_a_display_name_are_taken_and_months_without_data_are_named(
    stored: World, capfd: pytest.CaptureFixture[str]
) -> None:
    assert errors.run(app, ["get", "Madrid", "Weather", "--from", "2026-09-30", "--to", "2026-10-01"], "city-data") == 0
    printed = capfd.readouterr()
    assert printed.out.encode() == served(start_date="2026-09-30", end_date="2026-10-01", format="csv")
    assert len(printed.out.splitlines()) == 2
    assert "months without data 2026-10" in printed.err
    assert len(printed.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["madird", "weather"], "CITY: unknown city 'madird'; did you mean madrid?"),
        (["lisbon", "weather"], "CITY: lisbon is not enabled"),
        (["madrid", "wether"], "DATASET: unknown dataset 'wether'; did you mean weather?"),
        (["madrid", "weather", "--format", "xlsx"], "--format: unknown format 'xlsx'"),
        (["madrid", "weather", "--from", "2026-10-02", "--to", "2026-10-01"], "the range is reversed"),
        (["madrid", "weather", "--from", "1980-01"], "--to: the range is longer than"),
        (
            ["madrid", "weather", "--from", "2026-10-01T09:00:00", "--to", "2026-10-01T08:00:00"],
            "--to: end_date is before",
        ),
        (["madrid", "weather", "--from", "yesterday"], "--from: not a day, month or time"),
        (["madrid", "weather", "--to", "2026-10-32"], "--to: not a day, month or time"),
    ],
)
def test_wrong_question_is_one_line(
    settings: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    assert errors.run(app, ["get", *arguments], "city-data") == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert_one_line(printed.err, expected)


def test_file_that_cannot_be_written_is_named_and_nothing_is_left(
    stored: World, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "taken"
    folder.mkdir()
    for out in (folder, tmp_path / "absent" / "file.csv"):
        assert errors.run(app, ["get", "madrid", "weather", *SEPTEMBER, "--out", str(out)], "city-data") == 2
        assert_one_line(capfd.readouterr().err, f"--out {out}: cannot be written")
    assert list(tmp_path.glob(".*")) == []


def test_reader_that_does_not_start_is_one_line(
    settings: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    settings.setenv("API_RATE_BURST", "0")
    assert errors.run(app, ["get", "madrid", "weather"], "city-data") == 2
    assert_one_line(capfd.readouterr().err, "the reader does not start: ")
