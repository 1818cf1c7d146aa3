"""The README as a machine reads it: its files, and its entry of a city.

Belongs here: finding blocks. Does not: any test.
"""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
# A line that begins with a path in back quotes, and the block after it.
_FILE = re.compile(r"^`([\w/.-]+)`[^\n]*:\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CITY = re.compile(r"^```yaml\n(  - city_id: .*?)^```", re.MULTILINE | re.DOTALL)


def files() -> dict[str, str]:
    """The content of every file that the README shows whole, by its path."""
    return dict(_FILE.findall(README.read_text(encoding="utf-8")))


def city_entry() -> str:
    """The entry of "Add a city", as it goes to the end of cities.yaml."""
    (entry,) = _CITY.findall(README.read_text(encoding="utf-8"))
    return str(entry)
