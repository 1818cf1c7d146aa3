"""What the blocking and the awaiting client share: options, progress, the kind of frame, whole answers.

Belongs here: all of a client that waits for nothing. Does not: sending (client.py, async_client.py), or questions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import httpx
import pandas as pd

from city_data_client.cache import DEFAULT_BYTES
from city_data_client.frames import polars_of
from city_data_client.questions import Questions, Retries

if TYPE_CHECKING:
    import polars as pl

TIMEOUT_S = 30.0
To = Literal["pandas", "polars"]
Progress = Callable[[int, int | None], None]


def _shown(received: int, total: int | None) -> None:
    """One line on a terminal, rewritten as bytes come in."""
    of = f" of {total / 1e6:.1f}" if total else ""
    sys.stderr.write(f"\rcity_data: {received / 1e6:.1f}{of} MB")
    if total is not None and received >= total:
        sys.stderr.write("\n")


class BaseClient(Questions):
    """`url` is the service's address, `token` a bearer token whose tenant is `tenant_id`.

    `cache`: a folder for answers by their ETag (by default the user's cache folder), False for none. `progress`: True
    for a line on the terminal, or a function of the bytes received and of all bytes, where that is known. `optimized`:
    False uses the deprecated routes; by default as USE_OPTIMIZED_EXTERNAL_ENDPOINTS says, and yes without it.
    `attributes`: coverage, snapshot and more of the latest frame, which a polars frame cannot carry in itself.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        tenant_id: str | None = None,
        *,
        cache: Path | Literal[False] | None = None,
        cache_bytes: int = DEFAULT_BYTES,
        progress: bool | Progress = False,
        retries: Retries | None = None,
        optimized: bool | None = None,
        timeout: float = TIMEOUT_S,
    ) -> None:
        super().__init__(url, token, tenant_id, cache, cache_bytes, retries or Retries(), optimized)
        self._progress = _shown if progress is True else progress or None
        self._timeout = timeout
        self.attributes: dict[str, Any] = {}

    def _converted(self, frame: pd.DataFrame, to: To) -> pd.DataFrame | pl.DataFrame:
        if to not in ("pandas", "polars"):
            raise ValueError(f"to={to!r}: 'pandas' or 'polars'")
        self.attributes = {str(name): value for name, value in frame.attrs.items()}
        return frame if to == "pandas" else polars_of(frame)

    def _received(self, answer: httpx.Response) -> None:
        if self._progress is not None:
            length = answer.headers.get("content-length")
            self._progress(answer.num_bytes_downloaded, int(length) if length else None)


def whole(request: httpx.Request, answer: httpx.Response, body: bytes) -> httpx.Response:
    """The answer with its decoded body: its headers must not claim a coding any more."""
    headers = [
        (name, value) for name, value in answer.headers.items() if name not in ("content-encoding", "content-length")
    ]
    return httpx.Response(answer.status_code, headers=headers, content=body, request=request)
