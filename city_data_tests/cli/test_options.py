"""Every command with wrong arguments: one line on stderr, exit code 2, and nothing started."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer

from city_data.cli import errors
from city_data.cli.commands import app
from city_data.local.embedded import free_port
from city_data.window import Month, rolling_window
from city_data_tests.terminal import NOW, assert_one_line, command

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


WINDOW = rolling_window(NOW)


# Wrong values of the text options, with a part of the expected error line.
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
    "--reach": [("nowhere", "--reach"), ("nowhere:port", "--reach"), ("nowhere:0", "--reach"), (":80", "--reach")],
    "--pool": [("aemet", "--pool"), ("aemet=0", "--pool"), ("aemet=²", "--pool"), ("=2", "--pool")],
}


WRONG_TEXTS_OF_GET = {
    "--from": [("yesterday", "--from: not a day, month or time"), ("2026-13", "--from: not a"), ("", "--from: not a")],
    "--to": [("2026-10-32", "--to: not a day, month or time"), ("2026-1", "--to: not a day")],
    "--format": [("xlsx", "--format: unknown format 'xlsx'"), ("", "--format")],
}
ARGUMENTS = {"get": ["town", "weather"]}

# Options that accept any text; only using the value can fail.
FREE_TEXTS = {"--out", "--cluster", "--host", "--alive", "--subject", "--home", "--record"}


TYPED = {"--last", "--port", "--every", "--hours", "--wait", "--tenant", "--started-within"}


WRONG_NUMBERS = ["x", "-1", "nan", "inf", "1e400"]


def wrong_arguments() -> Iterator[tuple[str, list[str], str]]:
    for name, definition in COMMANDS.items():
        yield name, ["--no-such-option"], "--no-such-option"
        given = ARGUMENTS.get(name, [])
        yield name, [*given, "surplus"], "surplus"
        texts = WRONG_TEXTS | (WRONG_TEXTS_OF_GET if name == "get" else {})
        for parameter in definition.params:
            if parameter.param_type_name == "argument":
                continue
            option = parameter.opts[0]
            if parameter.is_flag:
                yield name, [f"{option}=x"], option
                continue
            yield name, [option], option
            if option in TYPED:
                yield from ((name, [option, value], option) for value in WRONG_NUMBERS)
            elif option not in FREE_TEXTS:
                yield from ((name, [*given, option, value], expected) for value, expected in texts[option])
        if {"--from", "--to"} <= {parameter.opts[0] for parameter in definition.params}:
            yield name, [*given, "--from", "2026-10", "--to", "2026-08"], "the range is reversed"


@pytest.mark.parametrize(("name", "arguments", "expected"), list(wrong_arguments()))
def test_wrong_argument_is_one_line_and_starts_nothing(
    variables: dict[str, str], capfd: pytest.CaptureFixture[str], name: str, arguments: list[str], expected: str
) -> None:
    assert errors.run(app, [name, *arguments], "city-data") == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert_one_line(captured.err, expected)
    assert not Path(variables["CITY_DATA_HOME"]).exists()


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "migrate"])
def test_command_with_a_home_takes_it_as_an_option(
    variables: dict[str, str], capfd: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    """A home that is a file, below a file, or in a place where none can be created."""
    file = tmp_path / "file"
    file.touch()
    for home in (file, file / "below", Path("/proc/nowhere/home")):
        code = errors.run(app, [name, "--home", str(home), *free_ports(name), *ARGUMENTS.get(name, [])], "city-data")
        captured = capfd.readouterr()
        assert code == 2, captured
        assert_one_line(captured.err, f"{home}")
    assert not Path(variables["CITY_DATA_HOME"]).exists()


def free_ports(name: str) -> list[str]:
    return ["--port", str(free_port())] if name == "exporter" else []


@pytest.mark.parametrize("name", ["--from", "--to"])
def test_partition_key_is_accepted_as_a_month(
    variables: dict[str, str], capfd: pytest.CaptureFixture[str], name: str
) -> None:
    assert errors.run(app, ["status", name, f"{Month(2026, 8)}-01"], "city-data") == 2
    assert_one_line(capfd.readouterr().err, "holds no platform yet")


@pytest.mark.parametrize("city", ["town", "TOWN", "Old Town", "old town", "OLD TOWN"])
def test_city_is_accepted_by_id_or_name_in_any_case(
    variables: dict[str, str], capfd: pytest.CaptureFixture[str], city: str
) -> None:
    arguments = ["status", "--city", city, "--dataset", "Weather"]
    assert errors.run(app, arguments, "city-data") == 2
    assert_one_line(capfd.readouterr().err, "holds no platform yet")


def test_version_is_that_of_the_package(variables: dict[str, str], capfd: pytest.CaptureFixture[str]) -> None:

    assert errors.run(app, ["--version"], "city-data") == 0
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
    completion = {
        "_CITY_DATA_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    assert command({**variables, **completion}).stdout.split() == [offered]
