"""The typed outcomes of a fetch or a parse other than data.

Belongs here: the exceptions that every provider raises. Does not: which outcome an answer means, which each provider
decides, or what an outcome does to a run (the raw asset).
"""

from __future__ import annotations

from city_data.errors import CityDataError
from city_data.texts import printable


class ProviderError(CityDataError):
    """An outcome other than data. The text names the provider, city and month, the finding, and the remedy.

    It quotes sources and goes to logs and to a database, so unprintable characters are escaped.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))


class TransientError(ProviderError):
    """A failure that a later retry can cure. `retry_after` is in seconds, where the source named it."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QuotaExceeded(TransientError):
    """The source counts too many calls; `retry_after` ends the minute, hour or day that its answer names."""


class SourceBlocked(TransientError):
    """A firewall in front of the source answered in its place."""


class PermanentError(ProviderError):
    """A failure that no retry cures: a wrong key, a changed format, a refused host."""


class NotConfigured(PermanentError):
    """A key or setting that the source needs is missing; the text names it. A fallback may serve instead."""


class NotYetPublished(ProviderError):
    """A normal state: the source has not published this month yet, and will."""


class NotAvailable(ProviderError):
    """A normal state: the source has not, and never will have, this month."""


class NoSnapshot(TransientError):
    """A live feed's answer holds no data. `reason` is one word, by which such answers are counted."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
