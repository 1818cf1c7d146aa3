"""Exit codes, error lines and output encoding of the terminal.

Belongs here: mapping an exception to one line and an exit code, and text to the terminal's encoding. Does not: any
command (cli/commands.py).
"""

from __future__ import annotations

import codecs
import os
import sys
import unicodedata
from collections.abc import Callable

import typer
from rich.console import Console
from rich.text import Text

from city_data.errors import CityDataError, one_line

FAILED, BROKEN_PIPE = 2, 1
DEGRADED = "city_data_degraded"
# Distinct replacements, so that the tables' signs stay distinguishable.
_PLAIN_SIGNS = str.maketrans(
    {"█": "#", "▓": "+", "▒": "=", "░": "-", "·": ".", "○": "o", "–": "-", "—": "-", "−": "-", "©": "(c)"}
)


def run(app: typer.Typer, arguments: list[str], program: str) -> int:
    """Run one command; returns its exit code. Exceptions other than CityDataError and usage errors propagate."""
    _degrade_output()
    try:
        code = app(arguments, prog_name=program, standalone_mode=False)
        sys.stdout.flush()
    except CityDataError as error:
        return _report(one_line(error))
    except typer.TyperException as error:
        return _report(usage) if (usage := _usage(error, program)) else FAILED
    except BrokenPipeError:
        # The reader of a pipe has closed it, as `head` does: a message or the flush at exit would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return int(code or 0)


def _report(text: str) -> int:
    Console(stderr=True, soft_wrap=True).print(Text.assemble(("error: ", "bold red"), text))
    return FAILED


def _usage(error: typer.TyperException, program: str) -> str:
    """The message; empty if the help was printed instead, as it is without arguments."""
    format_message: Callable[[], str] = getattr(error, "format_message", error.__str__)
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else program
    text = " ".join(format_message().split())
    return f"{text} See `{path} --help`." if text else ""


def _degrade_output() -> None:
    """Replace characters missing from the terminal's encoding with plain ones instead of raising."""
    codecs.register_error(DEGRADED, _plain)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=DEGRADED)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain_character, error.object[error.start : error.end])), error.end


def _plain_character(character: str) -> str:
    decomposed = unicodedata.normalize("NFKD", character).translate(_PLAIN_SIGNS)
    return decomposed.encode("ascii", "ignore").decode() or "?"
