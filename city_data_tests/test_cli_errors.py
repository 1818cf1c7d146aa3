"""Expected failures at the terminal: one line on stderr, exit code 2, and nothing started for a wrong argument."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer
import yaml

from city_data import cli_errors
from city_data.cli.commands import app
from city_data.local.embedded import EmbeddedPostgres, free_port
from city_data.window import Month, rolling_window
from city_data_tests.test_cities import TOWN

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
NOW = datetime(2026, 11, 24, tzinfo=UTC)
WINDOW = rolling_window(NOW)

# Wrong values of the options whose type alone refuses nothing, and a part of the line that names what is wrong.
WRONG_TEXTS = {
    "--city": [("Tonw", "--city: unknown city 'Tonw'; did you mean town?"), ("", "--city"), ("closed", "not enabled")],
    "--dataset": [("wether", "--dataset: unknown dataset 'wether'; did you mean weather?"), ("traffic", "no traffic")],
    "--from": [
        ("2026-13", "--from: not a month"),
        ("0000-01", "--from: not a month"),
        ("", "--from: not a month"),
        (str(WINDOW.open + 1), "--from 2026-12 lies ahead"),
        ("9999-12", "--from 9999-12 lies ahead"),
        (str(WINDOW.first - 1), "--from 2024-10 lies before the window, which is 2024-11 to 2026-11"),
        ("0001-01", "lies before the window"),
    ],
    "--to": [
        ("november", "--to: not a month"),
        (str(WINDOW.open + 1), "--to 2026-12 lies ahead"),
        (str(WINDOW.first - 1), "--to 2024-10 lies before"),
    ],
    "--pool": [("aemet", "--pool"), ("aemet=0", "--pool"), ("aemet=²", "--pool"), ("=2", "--pool")],
}
# Options for which any text is a value that only its use can refuse.
FREE_TEXTS = {"--cluster", "--host", "--alive", "--subject", "--home"}
TYPED = {"--last", "--port", "--every", "--hours", "--wait", "--tenant"}
WRONG_NUMBERS = ["x", "-1", "nan", "inf", "1e400"]


def wrong_arguments() -> Iterator[tuple[str, list[str], str]]:
    for name, command in COMMANDS.items():
        yield name, ["--no-such-option"], "--no-such-option"
        yield name, ["surplus"], "surplus"
        for parameter in command.params:
            option = parameter.opts[0]
            if parameter.is_flag:
                yield name, [f"{option}=x"], option
                continue
            yield name, [option], option
            if option in TYPED:
                yield from ((name, [option, value], option) for value in WRONG_NUMBERS)
            elif option not in FREE_TEXTS:
                yield from ((name, [option, value], said) for value, said in WRONG_TEXTS[option])
        if {"--from", "--to"} <= {parameter.opts[0] for parameter in command.params}:
            yield name, ["--from", "2026-10", "--to", "2026-08"], "the range is reversed"


@pytest.fixture
def variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A registry of one open city and one closed one, and a home that is not there yet."""
    cities = tmp_path / "cities.yaml"
    closed = {**TOWN, "city_id": "closed", "name": "Closed", "enabled": False}
    cities.write_text(yaml.safe_dump({"cities": [{**TOWN, "name": "Old Town"}, closed]}))
    for name in list(os.environ):
        if name.startswith(("CITY_DATA_", "ENABLED", "DAGSTER_HOME", "API_", "EXPORTER_")):
            monkeypatch.delenv(name)
    own = {
        "CITY_DATA_HOME": str(tmp_path / "home"),
        "CITY_DATA_CITIES": str(cities),
        "CITY_DATA_AS_OF": NOW.isoformat(),
    }
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    return {**os.environ, **own}


@pytest.mark.parametrize(("name", "arguments", "said"), list(wrong_arguments()))
def test_wrong_argument_is_one_line_and_starts_nothing(
    variables: dict[str, str], capfd: pytest.CaptureFixture[str], name: str, arguments: list[str], said: str
) -> None:
    assert cli_errors.run(app, [name, *arguments], "city-data") == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert_one_line(captured.err, said)
    assert not Path(variables["CITY_DATA_HOME"]).exists()


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "migrate"])
def test_command_with_a_home_takes_it_as_an_option(
    variables: dict[str, str], capfd: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    """A home that is a file, below a file, or where the system lets nobody make one."""
    file = tmp_path / "file"
    file.touch()
    for home in (file, file / "below", Path("/proc/nowhere/home")):
        code = cli_errors.run(app, [name, "--home", str(home), *free_ports(name)], "city-data")
        captured = capfd.readouterr()
        assert code == 2, captured
        assert_one_line(captured.err, f"{home}")
    assert not Path(variables["CITY_DATA_HOME"]).exists()


def free_ports(name: str) -> list[str]:
    return ["--port", str(free_port())] if name == "exporter" else []


def assert_one_line(text: str, said: str) -> None:
    assert text.startswith("error: "), text
    assert text.count("\n") == 1, text
    assert said in text


def command(variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "city_data.cli.commands", *arguments]
    return subprocess.run(
        line, env=variables, capture_output=True, encoding="utf-8", errors="strict", check=False, timeout=100
    )


@pytest.mark.parametrize(
    ("change", "said"),
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
    said: str,
) -> None:
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    assert cli_errors.run(app, ["status"], "city-data") == 2
    text = capfd.readouterr().err
    assert_one_line(text, said)
    assert "secret" not in text


@pytest.mark.parametrize("content", [b"cities: [", b"\xff\xfe\xff", b"cities: [{day: 2026-13-45}]", b"", b"- 1"])
def test_wrong_registry_file_is_one_line(
    variables: dict[str, str], capfd: pytest.CaptureFixture[str], content: bytes
) -> None:
    Path(variables["CITY_DATA_CITIES"]).write_bytes(content)
    assert cli_errors.run(app, ["status"], "city-data") == 2
    assert_one_line(capfd.readouterr().err, variables["CITY_DATA_CITIES"])


@pytest.mark.parametrize(
    ("name", "change", "said"),
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
    said: str,
) -> None:
    for variable, value in change.items():
        monkeypatch.setenv(variable, value)
    assert cli_errors.run(app, [name], "city-data") == 2
    assert_one_line(capfd.readouterr().err, said)
    assert not Path(variables["CITY_DATA_HOME"]).exists()


@pytest.mark.parametrize("name", ["--from", "--to"])
def test_partition_key_is_a_month_too(variables: dict[str, str], capfd: pytest.CaptureFixture[str], name: str) -> None:
    assert cli_errors.run(app, ["status", name, f"{Month(2026, 8)}-01"], "city-data") == 2
    assert_one_line(capfd.readouterr().err, "holds no platform yet")


@pytest.mark.parametrize("city", ["town", "TOWN", "Old Town", "old town", "OLD TOWN"])
def test_city_is_accepted_by_id_or_name_in_any_case(
    variables: dict[str, str], capfd: pytest.CaptureFixture[str], city: str
) -> None:
    arguments = ["status", "--city", city, "--dataset", "Weather"]
    assert cli_errors.run(app, arguments, "city-data") == 2
    assert_one_line(capfd.readouterr().err, "holds no platform yet")


@pytest.fixture
def crowded(postgres: EmbeddedPostgres, database_url: str) -> Iterator[str]:
    """A migrated database by a login that gets no connection, as when all are taken."""
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute("CREATE ROLE crowded LOGIN PASSWORD 'secret' CONNECTION LIMIT 0")
        host = database_url.split("@")[1]
        yield f"postgresql://crowded:secret@{host}"
        connection.execute("DROP ROLE crowded")


@pytest.mark.parametrize("name", ["status", "backfill", "replay", "expire", "migrate"])
def test_database_without_connections_left_is_one_line(
    variables: dict[str, str], crowded: str, tmp_path: Path, name: str
) -> None:
    dagster = tmp_path / "dagster"
    dagster.mkdir()
    (dagster / "dagster.yaml").write_text(yaml.safe_dump({"storage": {"postgres": {"postgres_url": crowded}}}))
    away = {"CITY_DATA_DATABASE_URL": crowded, "CITY_DATA_RAW_URL": str(tmp_path), "DAGSTER_HOME": str(dagster)}
    done = command({**variables, **away}, name)
    assert done.returncode == 2, done.stderr
    assert_one_line(done.stderr, "too many connections")


@pytest.mark.parametrize("name", ["replay", "expire"])
def test_missing_setting_of_a_deployment_is_one_line(variables: dict[str, str], database_url: str, name: str) -> None:
    done = command({**variables, "CITY_DATA_DATABASE_URL": database_url}, name)
    assert done.returncode == 2, done.stderr
    assert_one_line(done.stderr, "CITY_DATA_RAW_URL is not set")


def test_busy_exporter_port_is_one_line(variables: dict[str, str], database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        done = command({**variables, "CITY_DATA_DATABASE_URL": database_url}, "exporter", "--port", str(port))
    assert done.returncode == 2, done.stderr
    assert_one_line(done.stderr, f"cannot listen on 127.0.0.1 port {port}: Address already in use")


def test_terminal_without_utf_8_gets_plain_signs(variables: dict[str, str], database_url: str) -> None:
    own = {**variables, "CITY_DATA_DATABASE_URL": database_url, "PYTHONIOENCODING": "ascii"}
    for arguments in (["status"], ["status", "--city", "town"], ["status", "--days"], ["status", "--help"]):
        done = command(own, *arguments)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert done.stdout.isascii()
    assert_one_line(command(own, "status", "--city", "Málaga").stderr, "unknown city 'Malaga'")


def test_character_that_an_encoding_lacks_becomes_a_plain_one() -> None:
    cli_errors.run(app, ["--version"], "city-data")  # which registers the handler
    for encoding, text, expected in (
        ("ascii", "█▓▒░·○… Málaga 5 °C ©", "#+=-.o... Malaga 5 ?C (c)"),
        ("latin-1", "█· Málaga 5 °C ☃", "#· Málaga 5 °C ?"),
        ("utf-8", "█ Málaga \udcff", "█ Málaga ?"),
    ):
        assert text.encode(encoding, cli_errors.DEGRADED).decode(encoding) == expected


def test_reader_that_goes_away_ends_the_command_quietly(variables: dict[str, str], database_url: str) -> None:
    own = {**variables, "CITY_DATA_DATABASE_URL": database_url}
    for arguments in (["status", "--city", "town"], ["token"], ["--version"], ["--help"]):
        read, write = os.pipe()
        os.close(read)
        line = [sys.executable, "-m", "city_data.cli.commands", *arguments]
        done = subprocess.run(line, env=own, stdout=write, stderr=subprocess.PIPE, check=False, timeout=100)
        os.close(write)
        assert (done.returncode, done.stderr) == (1, b""), arguments


def test_fault_of_the_code_keeps_its_stack(variables: dict[str, str]) -> None:
    code = (
        "import typer; from city_data import cli_errors; app = typer.Typer(pretty_exceptions_enable=False)\n"
        "@app.command()\n"
        "def broken() -> None: raise ValueError('a fault')\n"
        "cli_errors.run(app, [], 'city-data')"
    )
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ValueError: a fault" in done.stderr


def test_version_is_that_of_the_package(variables: dict[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert cli_errors.run(app, ["--version"], "city-data") == 0
    assert capfd.readouterr().out == f"city-data {version('city-data')}\n"


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("city-data sta", "status"),
        ("city-data status --city to", "town"),
        ("city-data status --dataset we", "weather"),
        ("city-data backfill --ho", "--home"),
    ],
)
def test_shell_completes_commands_options_and_values(variables: dict[str, str], words: str, offered: str) -> None:
    asked = {"_CITY_DATA_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    assert command({**variables, **asked}).stdout.split() == [offered]
