"""The code location as a daemon sees it: whether it is loaded, so that a retry can be launched.

Belongs here: the watch over its server. Does not: which events wait for it (storage.py), or the server itself.
"""

from __future__ import annotations

import time

# A daemon may keep a broken workspace for a minute after its code location is back.
RELOADED_AFTER_S = 75.0
ANSWER_S = 3


class CodeLocation:
    """The gRPC server at `address`, HOST:PORT."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._host, self._port = host, int(port)
        self._away_at: float | None = None

    def is_loaded(self) -> bool:
        """Whether it answers, and has for so long that the daemon has loaded it again. Only an absence that a call of
        this has met counts: call it every few seconds."""
        if not self._answers():
            self._away_at = time.monotonic()
        return self._away_at is None or time.monotonic() - self._away_at >= RELOADED_AFTER_S

    def _answers(self) -> bool:
        """By a call that `dagster code-server` passes on: it takes connections for a process that has died, too."""
        from dagster._core.errors import DagsterUserCodeUnreachableError
        from dagster._grpc.client import DagsterGrpcClient

        try:
            DagsterGrpcClient(host=self._host, port=self._port).get_server_id(timeout=ANSWER_S)
        except DagsterUserCodeUnreachableError:
            return False
        return True
