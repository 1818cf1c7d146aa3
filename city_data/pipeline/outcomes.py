"""Typed outcomes: every exception of a provider's code becomes a ProviderError.

Belongs here: wrapping unforeseen exceptions. Does not: outcomes that a provider decides (providers/errors.py), or
their effect on a run (defs/assets).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

from city_data.providers.base import PermanentError, ProviderError, Request

_MOST_WORDS = 500


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

        if isinstance(error, Exception) and not isinstance(error, ProviderError | DatabaseUnavailable):
            subject = f"{self.provider}: {self.request.location.city_id} {self.request.month}"
            raise PermanentError(f"{subject}: unforeseen {words(error)}") from error


def words(error: BaseException) -> str:
    """The error's type and text, in printable characters for logs and databases."""
    text = f"{type(error).__name__}: {error}".rstrip(": ")
    cut = text if len(text) <= _MOST_WORDS else f"{text[:_MOST_WORDS]}..."
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cut)
