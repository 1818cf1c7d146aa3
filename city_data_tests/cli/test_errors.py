"""Output encoding, a closed pipe, the traceback of an unexpected error, and the help."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from city_data.cli import errors
from city_data.cli.commands import app
from city_data_tests.terminal import assert_one_line, command


def test_terminal_without_utf_8_gets_ascii_characters(variables: dict[str, str], database_url: str) -> None:
    own = {**variables, "CITY_DATA_DATABASE_URL": database_url, "PYTHONIOENCODING": "ascii"}
    for arguments in (["status"], ["status", "--city", "town"], ["status", "--days"], ["status", "--help"]):
        done = command(own, *arguments)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert done.stdout.isascii()
    assert_one_line(command(own, "status", "--city", "Málaga").stderr, "unknown city 'Malaga'")


def test_unencodable_character_is_replaced_by_ascii() -> None:
    errors.run(app, ["--version"], "city-data")  # which registers the handler
    for encoding, text, expected in (
        ("ascii", "█▓▒░·○… Málaga 5 °C ©", "#+=-.o... Malaga 5 ?C (c)"),
        ("latin-1", "█· Málaga 5 °C ☃", "#· Málaga 5 °C ?"),
        ("utf-8", "█ Málaga \udcff", "█ Málaga ?"),
    ):
        assert text.encode(encoding, errors.DEGRADED).decode(encoding) == expected


def test_closed_pipe_ends_the_command_quietly(variables: dict[str, str], database_url: str) -> None:
    own = {**variables, "CITY_DATA_DATABASE_URL": database_url}
    for arguments in (["status", "--city", "town"], ["token"], ["--version"], ["--help"]):
        read, write = os.pipe()
        os.close(read)
        line = [sys.executable, "-m", "city_data.cli", *arguments]
        done = subprocess.run(line, env=own, stdout=write, stderr=subprocess.PIPE, check=False, timeout=100)
        os.close(write)
        assert (done.returncode, done.stderr) == (1, b""), arguments


def test_unexpected_error_keeps_its_traceback(variables: dict[str, str]) -> None:
    code = (
        "import typer; from city_data.cli import errors; app = typer.Typer(pretty_exceptions_enable=False)\n"
        "@app.command()\n"
        "def broken() -> None: raise ValueError('a fault')\n"
        "errors.run(app, [], 'city-data')"
    )
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ValueError: a fault" in done.stderr


def test_no_arguments_print_the_help_alone(capfd: pytest.CaptureFixture[str]) -> None:
    assert errors.run(app, [], "city-data") == 2
    captured = capfd.readouterr()
    assert "Usage: city-data" in captured.out
    assert captured.err == ""
