"""The reader takes its memory from the system's allocator, whose limits it sets."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
from api.footprint import keep_small
keep_small()
import pyarrow
print(pyarrow.default_memory_pool().backend_name)
"""


def test_arrow_gives_back_what_it_took() -> None:
    told = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True).stdout
    assert told.strip() == "system"


def test_the_application_does_not_import_pyarrow_before() -> None:
    told = subprocess.run(
        [sys.executable, "-c", "import sys, api.__main__; print('pyarrow' in sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert told.strip() == "False"
