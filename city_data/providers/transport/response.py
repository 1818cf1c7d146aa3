"""The response of any source, and the outcome of its status.

Belongs here: `Response` and the rules that hold for every source. Does not: sending requests (http.py), or the
meaning of one source's body, which its own module knows.
"""

from __future__ import annotations

import email.utils
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from urllib.parse import quote, urlsplit, urlunsplit

from city_data.providers.errors import PermanentError, ProviderError, TransientError

# Sources that answer "too many" without Retry-After count by the minute.
MINUTE = 60.0
# No source means more than a day, and no scheduler can wait for ever.
_LONGEST = 86_400.0


@dataclass(frozen=True)
class Response:
    """An answer. `url` is the requested address without query; `body` is empty for downloads; header names are lower
    case."""

    status: int
    headers: Mapping[str, str]
    url: str
    body: bytes = b""
    origin: str | None = None

    def text(self, encoding: str = "utf-8") -> str:
        """Raises UnicodeDecodeError where the bytes are not in `encoding`."""
        return self.body.decode(encoding)


def accept_ok(response: Response) -> None:
    """The default rule: 2xx passes; 408, 425, 429 and 5xx are transient; the rest is permanent."""
    if 200 <= response.status < 300:
        return
    excerpt = " ".join(response.body[:200].decode("latin-1").split())
    message = f"{response.url} answered {response.status}: {excerpt or 'an empty body'}"
    if response.status in (408, 425, 429) or response.status >= 500:
        raise TransientError(message, retry_after(response.headers))
    raise PermanentError(message)


def retry_after(headers: Mapping[str, str], otherwise: float | None = None) -> float | None:
    """Seconds from a Retry-After header (seconds or an HTTP date); `otherwise` if it is absent or unreadable."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return otherwise
    if moment.tzinfo is None:  # written with the zone -0000
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, moment.timestamp() - time.time()), _LONGEST)


@contextmanager
def hiding(secrets: Iterable[str]) -> Iterator[None]:
    """Redacts secrets in every outcome that leaves this context: sources repeat the key that they refuse."""
    try:
        yield
    except ProviderError as error:
        text = str(error)
        for secret in filter(None, secrets):
            text = text.replace(secret, "***").replace(quote(secret, safe="", errors="replace"), "***")
        error.args = (text,)
        raise


def bare(url: str) -> str:
    """A URL without user, query or fragment, fit for logs and errors. An invalid URL is never repeated."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an invalid address"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
