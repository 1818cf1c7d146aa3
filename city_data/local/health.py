"""Health questions to the platform's processes: a stopped or hanging process has not ended, and yet serves nobody.

Belongs here: asking once, with a short timeout. Does not: how long a silence may last (supervisor.py).
"""

from __future__ import annotations

import psutil

TIMEOUT_S = 5.0


def answers_http(url: str) -> bool:
    """Any status is an answer."""
    import httpx

    try:
        httpx.get(url, timeout=TIMEOUT_S, trust_env=False)
    except httpx.HTTPError:
        return False
    return True


def answers_code_server(port: int) -> bool:
    """Dagster's code server passes the question on to the process that has the code, which may have ended alone."""
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._grpc.client import DagsterGrpcClient

    try:
        DagsterGrpcClient(port=port, host="127.0.0.1").ping("")
    except DagsterUserCodeUnreachableError:
        return False
    return True


def is_stopped(pid: int) -> bool:
    """Whether a signal has stopped the process, such as SIGSTOP, or Ctrl-Z in a terminal."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False
