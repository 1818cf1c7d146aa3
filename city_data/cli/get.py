"""`city-data get`: a city's history as the reader answers it, in a file or on standard output.

Belongs here: the question, and where the answer goes. Does not: the answer (api/), which a process of its own makes, as
it does for a server: formats, columns and errors are the API's.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import typer

from city_data.cities import load_registry
from city_data.cli.options import (
    CityArgument,
    DatasetArgument,
    FirstOption,
    FormatOption,
    HomeOption,
    LastOption,
    OutOption,
    enabled_city,
)
from city_data.cli.terminal import HOME, joined_platform
from city_data.datasets import DATASETS
from city_data.errors import CityDataError, UsageError, unknown
from city_data.extras import needs
from city_data.local.platform import DEMO_TENANT
from city_data.window import Month, as_of, rolling_window

FORMATS = ("csv", "json", "ndjson", "parquet", "arrow")
_BINARY = ("parquet", "arrow")
_MONTH, _DATE = re.compile(r"\d{4}-\d\d"), len("2026-10-01")
_OPTIONS = {"start_date": "--from", "end_date": "--to", "format": "--format", "city_id": "CITY"}
# The process answers itself alone: no token is needed, and no port is opened.
_ALONE = {"AUTH_MODE": "none", "API_HOST": "127.0.0.1", "API_METRICS_PORT": ""}


class ReadError(CityDataError):
    """The reader has no answer; the text is its own."""


@dataclass(frozen=True)
class Answer:
    headers: Mapping[str, str]
    body: bytes

    @property
    def summary(self) -> str:
        """Of which data the answer is, for people: the body itself goes to a program."""
        named = (("source", "x-source"), ("months without data", "x-missing-months"), ("version", "x-snapshot-id"))
        return "; ".join(f"{name} {self.headers[header]}" for name, header in named if self.headers.get(header))


@needs("reader")
def get(
    city: CityArgument,
    dataset: DatasetArgument,
    from_: FirstOption = None,
    to: LastOption = None,
    format_: FormatOption = "csv",
    out: OutOption = None,
    home: HomeOption = HOME,
) -> None:
    """Read a city's history as the API answers it. Sources and version of the data go to standard error."""
    if out is None and format_ in _BINARY and sys.stdout.isatty():
        raise UsageError(f"--format {format_} is not text: name a file with --out, or pipe the output")
    path = _path(city, dataset, from_, to, format_)
    with joined_platform(home):
        answer = _read(path)
    _write(answer.body, out)
    typer.echo(answer.summary, err=True)


def _path(city: str, dataset: str, first: str | None, last: str | None, format_: str) -> str:
    """The route and query of a question. Raises UsageError naming the argument, RegistryError."""
    city_id, name = enabled_city(load_registry(), city, "CITY").city_id, dataset.casefold()
    if name not in DATASETS:
        raise UsageError(f"DATASET: {unknown('dataset', dataset, DATASETS)}")
    if format_ not in FORMATS:
        raise UsageError(f"--format: {unknown('format', format_, FORMATS)}")
    window = rolling_window(as_of())
    start, end = _days(window.first, window.months(DATASETS[name].months_ahead)[-1], first, last)
    query = {"city_id": city_id, "start_date": start, "end_date": end, "format": format_}
    return f"/api/v1/tenants/{DEMO_TENANT}/external/historical-{name}?{urlencode(query)}"


def _days(oldest: Month, newest: Month, first: str | None, last: str | None) -> tuple[str, str]:
    """The ends of the range as the API takes them, by default all months. Raises UsageError naming the option."""
    start = str(oldest.first_day) if first is None else _end("--from", first, last_day=False)
    end = str(newest.last_day) if last is None else _end("--to", last, last_day=True)
    if start[:_DATE] > end[:_DATE]:
        raise UsageError(f"--from {start} is later than --to {end}: the range is reversed")
    return start, end


def _end(option: str, text: str, last_day: bool) -> str:
    """A month as its first or last day; a day or a time as it is. A typing error is found here, before any start."""
    try:
        if _MONTH.fullmatch(text):
            month = Month.parse(text)
            return str(month.last_day if last_day else month.first_day)
        datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option}: not a day, month or time: {text!r}; write it as 2026-10-01, 2026-10 or 2026-10-01T06:00:00Z"
        ) from None
    return text


def _read(path: str) -> Answer:
    """Raises ReadError with the API's own reasons."""
    command = [sys.executable, "-m", "api.once", path]
    # The path is percent-encoded, and one argument.
    done = subprocess.run(command, env={**os.environ, **_ALONE}, capture_output=True, check=False)  # noqa: S603
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise ReadError(f"the reader does not start: {lines[-1]}")
    head, _, body = done.stdout.partition(b"\n")
    answer = json.loads(head)
    if answer["status"] != 200:
        raise ReadError(_reasons(json.loads(body)["detail"]))
    return Answer(answer["headers"], body)


def _reasons(detail: str | list[dict[str, Any]]) -> str:
    if isinstance(detail, str):
        return detail
    return "; ".join(f"{_OPTIONS.get(one['loc'][-1], one['loc'][-1])}: {one['msg']}" for one in detail)


def _write(body: bytes, file: Path | None) -> None:
    """Into the file, whole or not at all, or to standard output. Raises UsageError naming the option."""
    if file is None:
        sys.stdout.buffer.write(body)
        return
    part = file.with_name(f".{file.name}.part")
    try:
        try:
            part.write_bytes(body)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"--out {file}: cannot be written: {error.strerror or error}") from error
