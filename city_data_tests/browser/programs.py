"""The page's snippets, run as a reader of the page would run them.

Belongs here: one runner for each language, which takes programs and returns the numbers they read. Does not: any test.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from city_data_tests.api.readers import Web
from city_data_tests.clients.packages import compile_project, interpreter, project_with_client
from city_data_tests.tools import find_tool

Series = dict[float, float | None]  # seconds since 1970 to value


@dataclass(frozen=True)
class Snippet:
    """`shown` are the numbers of the plot; a month without records has a point of its own there, without a value."""

    name: str
    column: str
    code: str
    token: str
    shown: Series


def from_curl(snippets: Sequence[Snippet], folder: Path) -> list[Series]:
    find_tool("curl")
    return [_of_csv(_run(["sh", "-c", one.code], one.token), one.column) for one in snippets]


def from_python(snippets: Sequence[Snippet], folder: Path) -> list[Series]:
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITY_DATA_CLIENT_CACHE", str(folder / "answers"))
        for one in snippets:
            patch.setenv("TOKEN", one.token)
            names: dict[str, pd.DataFrame] = {}
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(one.code, one.name, "exec"), names)
            assert one.column in printed.getvalue()
            column = names["frame"][one.column]
            values = [None if pd.isna(value) else float(value) for value in column]
            found.append({at.timestamp(): value for at, value in zip(column.index, values, strict=True)})
    return found


def from_typescript(snippets: Sequence[Snippet], folder: Path) -> list[Series]:
    """Compiled against the packed client, and each printed line read: a time and a value."""
    project, _ = project_with_client(folder)
    for n, one in enumerate(snippets):
        (project / f"snippet{n}.ts").write_text(one.code)
    compile_project(project, "Node16")
    node = find_tool("node")
    found = []
    for n, one in enumerate(snippets):
        lines = [line.split(" ") for line in _run([node, project / f"snippet{n}.js"], one.token).splitlines()]
        found.append({_seconds(at): None if value == "null" else float(value) for at, value in lines})
    return found


def from_duckdb(snippets: Sequence[Snippet], folder: Path) -> list[Series]:
    """By fsspec, which takes no token, so that DuckDB is tried where its extension is not installed."""
    found = []
    for one in snippets:
        with duckdb.connect() as connection:
            connection.register_filesystem(Web(block_size=4_096, cache_type="none"))
            rows = connection.execute(one.code).fetchall()
        found.append({at.timestamp(): None if value is None else float(value) for at, value in rows})
    return found


def from_duckdb_httpfs(snippets: Sequence[Snippet], folder: Path) -> list[Series]:
    """By DuckDB's own reader of URLs, the extension that DuckDB loads by itself where it can download it."""
    python = interpreter("duckdb")
    (extension,) = python.parents[1].rglob("httpfs.duckdb_extension")
    codes = folder / "codes.json"
    codes.write_text(json.dumps([one.code.replace("'TOKEN'", f"'{one.token}'") for one in snippets]))
    answers = json.loads(_run([python, "-c", _DUCKDB, codes, extension], ""))
    return [{at: None if value is None else float(value) for at, value in rows} for rows in answers]


_DUCKDB = """
import json, sys
import duckdb
answers = []
for code in json.load(open(sys.argv[1])):
    with duckdb.connect() as connection:
        connection.execute(f"LOAD '{sys.argv[2]}'")
        answers.append([(at.timestamp(), value) for at, value in connection.execute(code).fetchall()])
print(json.dumps(answers))
"""


def from_r(snippets: Sequence[Snippet], folder: Path) -> list[Series]:
    """One process: R starts slowly. Each program ends by printing what it read in full precision."""
    mark = "--- next"
    script = folder / "snippets.R"
    last = 'records$date <- as.numeric(records$date)\nwrite.csv(records, row.names = FALSE, na = "")'
    parts = [
        f'Sys.setenv(TOKEN = "{one.token}")\n{one.code}\ncat("{mark}\\n")\n{last}\ncat("{mark}\\n")' for one in snippets
    ]
    script.write_text("\n".join(["options(digits = 15)", *parts]))
    printed = _run([find_tool("Rscript"), "--vanilla", script], "").split(f"{mark}\n")
    return [_of_csv(text, one.column) for text, one in zip(printed[1::2], snippets, strict=True)]


Runner = Callable[[Sequence[Snippet], Path], list[Series]]
RUNNERS: list[tuple[str, Runner]] = [
    ("curl", from_curl),
    ("Python", from_python),
    ("TypeScript", from_typescript),
    ("DuckDB", from_duckdb),
    ("DuckDB", from_duckdb_httpfs),
    ("R", from_r),
]


def _run(command: Sequence[str | Path], token: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env={**os.environ, "TOKEN": token}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _of_csv(text: str, column: str) -> Series:
    rows = csv.DictReader(io.StringIO(text))
    return {_seconds(row["date"]): float(row[column]) if row[column] else None for row in rows}


def _seconds(at: str) -> float:
    try:
        return float(at)
    except ValueError:
        return datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()


def shown(data: str) -> Series:
    """The plot's own times and values, as the page gives them."""
    times, values = json.loads(data)
    return dict(zip(times, values, strict=True))
