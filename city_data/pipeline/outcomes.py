"""Typed outcomes: every exception of a provider's code becomes a ProviderError.

Belongs here: wrapping unforeseen exceptions. Does not: outcomes that a provider decides (providers/errors.py), or
their effect on a run (defs/assets).
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from city_data.providers.base import PermanentError, ProviderError, Request
from city_data.texts import printable

_MOST_CHARACTERS = 500


@dataclass(frozen=True)
class TypedOutcomes:
    """A context for a provider's code. ProviderErrors pass unchanged, and so does DatabaseUnavailable, which no
    provider causes; any other exception becomes the cause of a PermanentError."""

    provider: str
    request: Request

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from city_data.store.database import DatabaseUnavailable

        # A panic of Polars' Rust code is no Exception, and no class to import without it.
        is_error = isinstance(error, Exception) or type(error).__name__ == "PanicException"
        if error is not None and is_error and not isinstance(error, ProviderError | DatabaseUnavailable):
            subject = f"{self.provider}: {self.request.location.city_id} {self.request.month}"
            raise PermanentError(f"{subject}: unforeseen {words(error)}") from error


def words(error: BaseException) -> str:
    """The error's type and text, in characters that a log and a database take, and the line that raised it: a log of
    one line and the ledger have no stack."""
    text = printable(f"{type(error).__name__}: {error}".rstrip(": "), _MOST_CHARACTERS)
    frames = traceback.extract_tb(error.__traceback__)
    return f"{text} ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else text
