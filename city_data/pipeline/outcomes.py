"""Typed outcomes: nothing that a provider's code raises leaves the pipeline untyped.

Belongs here: what an unforeseen exception becomes. Does not: outcomes that a provider decides (providers/errors.py), or
what they do to a run (defs/assets).
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
    """A context in which a provider's code runs. Its own outcomes leave as they are, and so does a database that is
    away, which is no provider's doing; anything else leaves as a PermanentError of which it is the cause."""

    provider: str
    request: Request

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from city_data.store.database import DatabaseUnavailable

        if isinstance(error, Exception) and not isinstance(error, ProviderError | DatabaseUnavailable):
            subject = f"{self.provider}: {self.request.place.city_id} {self.request.month}"
            raise PermanentError(f"{subject}: unforeseen {words(error)}") from error


def words(error: BaseException) -> str:
    """The error's type and text, in characters that a log and a database take, and the line that raised it: a log of
    one line and the ledger have no stack."""
    text = printable(f"{type(error).__name__}: {error}".rstrip(": "), _MOST_CHARACTERS)
    frames = traceback.extract_tb(error.__traceback__)
    return f"{text} ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else text
