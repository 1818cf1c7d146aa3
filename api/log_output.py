"""Standard output as the log's way out. Belongs here: lines that cannot be written, as where the device is full.

Does not: what is logged (observability.py). A lost line must not cost an answer, and is counted: losing it in silence
would hide that there is no log.
"""

from __future__ import annotations

from typing import Any, BinaryIO

import structlog
from prometheus_client import Counter

# One a process, as its output is; every application's metrics show it.
LINES_LOST = Counter("external_log_lines_lost", "Log lines that could not be written", registry=None)


class LossyLogger(structlog.BytesLogger):
    """structlog's own, which loses and counts a line where its file takes none."""

    def msg(self, message: bytes) -> None:
        try:
            super().msg(message)
        except OSError:
            LINES_LOST.inc()

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


class LossyLoggerFactory:
    """For structlog's `logger_factory`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __call__(self, *_: Any) -> LossyLogger:
        return LossyLogger(self._file)
