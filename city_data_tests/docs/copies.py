"""A copy of the tree with a page's files and edits, and its code in processes of its own.

Belongs here: copying, applying, running. Does not: what a copy must then do (the tests beside this module).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory

from city_data.store.migrate import _config
from city_data_tests.docs.pages import ROOT, Fence, files, page

_COPIED = ("city_data", "api", "city_data_tests", "docs", "helm", "README.md", "Makefile", "pyproject.toml")
_IGNORED = shutil.ignore_patterns("__pycache__", "node_modules", ".ready")


class NotApplied(Exception):
    """An edit of the page does not fit its file."""


def applied(fence: Fence, text: str) -> str:
    """`text` after the edit: the lines with blank or minus must stand in it once."""
    lines = fence.text.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] in " -")
    after = "".join(line[1:] for line in lines if line[0] in " +")
    if text.count(before) != 1:
        raise NotApplied(f"{fence}: {fence.file} has these lines {text.count(before)} times:\n{before}")
    return text.replace(before, after)


def copied_tree(root: Path, name: str) -> Path:
    """The tree below `root`, with the page's files and edits; its migration follows the newest."""
    for part in _COPIED:
        source = ROOT / part
        shutil.copytree(source, root / part, ignore=_IGNORED) if source.is_dir() else shutil.copy(source, root / part)
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    for path, text in files(name).items():
        assert not (root / path).exists(), path
        (root / path).write_text(re.sub(r'(?<=^down_revision = )".*"', f'"{newest}"', text, flags=re.MULTILINE))
    for fence in page(name).fences:
        if fence.kind == "diff":
            assert fence.file
            file = root / fence.file
            file.write_text(applied(fence, file.read_text(encoding="utf-8")), encoding="utf-8")
    return root


def run(tree: Path, *arguments: str) -> str:
    """A module of the tree's code, in a process of its own; the first compiles the tree for all."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    paths = f"{tree}{os.pathsep}{tree / 'api/clients/python'}"
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=tree,
        env={**inherited, "PYTHONPATH": paths, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def probe(tree: Path, name: str, *arguments: str) -> dict[str, Any]:
    """What a probe beside this module prints, as its last line, of the tree's code."""
    found: dict[str, Any] = json.loads(run(tree, f"city_data_tests.docs.{name}", *arguments).splitlines()[-1])
    assert Path(found["tree"]).is_relative_to(tree)
    return found
