"""Log output to a file that may fail. Belongs here: counting lines that cannot be written, as when the device is full.

Does not: the content of the log (observability.py). A lost line must not cost an answer, and is counted: lost silently,
it would hide that there is no log.
"""

from __future__ import annotations

from typing import Any, BinaryIO

import structlog
from prometheus_client import Counter

# One per process, as its output is; the metrics of every application show it.
LINES_LOST = Counter("external_log_lines_lost", "Log lines that could not be written", registry=None)


class LossyLogger(structlog.BytesLogger):
    """structlog's BytesLogger, which drops and counts a line that its file does not accept."""

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
