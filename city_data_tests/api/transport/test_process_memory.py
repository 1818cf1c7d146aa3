"""The reader's process memory: the system allocator with the reader's limits."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
from api.transport.process_memory import keep_small, settle
keep_small()
import gc, sys
from datetime import UTC, datetime
import pyarrow as pa
moments = pa.array([datetime(2026, 10, 1, tzinfo=UTC), None], pa.timestamp("us", tz="UTC"))
assert pa.table({"date": moments}).to_pydict() == {"date": [datetime(2026, 10, 1, tzinfo=UTC), None]}
settle()
print(pa.default_memory_pool().backend_name, "pandas" in sys.modules, gc.get_freeze_count() > 10_000)
"""


def test_arrow_uses_the_system_allocator_and_does_not_import_pandas() -> None:
    output = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True).stdout
    assert output.split() == ["system", "False", "True"]


def test_application_does_not_import_pyarrow_at_start() -> None:
    output = subprocess.run(
        [sys.executable, "-c", "import sys, api.__main__; print('pyarrow' in sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert output.strip() == "False"
