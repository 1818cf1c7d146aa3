"""The response of any source, and the outcome of its status.

Belongs here: `Response` and the rules that hold for every source. Does not: sending requests (http.py), or the
meaning of one source's body, which its own module knows.
"""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from urllib.parse import quote, urlsplit, urlunsplit

from city_data import environment
from city_data.providers.errors import PermanentError, ProviderError, QuotaExceeded, SourceBlocked, TransientError
from city_data.providers.transport.documents import read_json

# The window of a quota as sources name it, in the languages of ours; the longest that is named counts.
_DAY_WORDS = re.compile(
    r"\b(daily|tomorrow|today|(?:per|a|each|next) day|midnight|24[ -]?h(?:ou?rs?|eures?|oras?)?|month\w*|blocked"
    r"|d[ií]as?|diari\w*|ma[ñn]ana|medianoche|mes|mensual\w*|avui|dem[àa]|dies|mitjanit"
    r"|jour\w*|quotidien\w*|demain|minuit|mois|mensuel\w*|giorn\w*|domani|morgen|t[äa]glich\w*|tag\w*"
    r"|di[áa]ri\w*|amanh[ãa])\b"
)
_HOUR_WORDS = re.compile(
    r"\b(hourly|hours?|horas?|horari\w*|hores|heures?|horaire|stunden?|stündlich\w*|or[ae]|orari\w*)\b"
)
# Names of the header with a quota's end, in seconds or since 1970, beside Retry-After.
_RESETS = ("x-ratelimit-reset", "x-rate-limit-reset", "ratelimit-reset", "x-ratelimit-retry-after")
# Refusals that a later call may not get, though their status does not say so.
_LIMIT_WORDS = re.compile(
    r"rate.?limit|limit (?:is |was |has been )?exceeded|too many (?:api )?(?:calls|requests)|quota|overload"
)
# Faults that pass, where a document with 200 reports them.
_PASSING_WORDS = re.compile(
    r"internal (server )?error|time[d -]*out|(temporarily|currently|service|server) (un|not )available"
    r"|try (it )?again (later|in|shortly)|bad gateway"
)
_REPORTED_IN = ("error", "message", "reason")  # keys of the documents that refuse
_MOST_OF_A_REFUSAL = 2_000  # bytes
_MAINTENANCE = re.compile(r"mainten|mantenim|mantenc|manuten|wartung|temporarily unavailable|service unavailable")
_PAGE_BEGINS = ("<!doctype", "<html", "<head", "<?xml", "<!--", "<body")
# Sources that say "too many" without saying for how long count by the minute.
MINUTE = 60.0
HOUR = 3_600.0
# No source means more than a day, and no scheduler can wait for infinity.
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
    """The default rule: 2xx passes; 408, 425, 429 and 5xx are transient; the rest is permanent. A call too many may
    also be reported with 403, or by a document with 2xx."""
    if 200 <= response.status < 300:
        reported = _reported(response)
        if names_limit(reported):
            raise too_many_calls(response, response.body.decode("latin-1"))
        if _PASSING_WORDS.search(reported.lower()):
            raise TransientError(f"{response.url} reports an error with {response.status}: {reported[:200]}")
        return
    refuse_firewall(response)
    excerpt = " ".join(response.body[:200].decode("latin-1").split())
    message = f"{response.url} answered {response.status}: {excerpt or 'an empty body'}"
    if response.status == 429 or (response.status == 403 and names_limit(excerpt)):
        raise too_many_calls(response, excerpt)
    if response.status in (408, 425) or response.status >= 500:
        raise TransientError(message, retry_after(response.headers))
    raise PermanentError(message)


def too_many_calls(response: Response, text: str) -> QuotaExceeded:
    """The outcome of a 429: Retry-After ends the wait, else the window named in `text`, else a minute."""
    message = f"too many calls ({response.status if response.status == 403 else 429}): {text[:200]}"
    return QuotaExceeded(message, retry_after(response.headers, _window_s(text)))


def names_limit(text: str) -> bool:
    """Whether a source gives the number of calls as its reason, whatever its status."""
    return bool(_LIMIT_WORDS.search(text.lower()))


def _reported(response: Response) -> str:
    """The error or the message of a small object in place of the data; empty where there is none."""
    if len(response.body) > _MOST_OF_A_REFUSAL or not response.body.lstrip().startswith(b"{"):
        return ""
    try:
        document = read_json(response.body)
    except ValueError:
        return ""
    texts = [document[key] for key in _REPORTED_IN if key in document]
    return " ".join(str(text) for text in texts if not isinstance(text, bool))


def _window_s(text: str) -> float:
    """Seconds to the end of the day or hour, as sources count them by the clock (UTC), where the text names one."""
    lowered = text.lower()
    for words, seconds in ((_DAY_WORDS, _LONGEST), (_HOUR_WORDS, HOUR)):
        if words.search(lowered):
            return seconds - time.time() % seconds
    return MINUTE


def refuse_firewall(response: Response) -> None:
    """Raises SourceBlocked for a page in place of a refusal: a key, or a changed format, has nothing to do with it;
    TransientError where the page says that the source is closed for a while."""
    head = response.body[:1_000].decode("latin-1").lstrip("\ufeffï»¿ \r\n\t").lower()
    if response.status not in (403, 503) or not head.startswith(_PAGE_BEGINS):
        return
    page = " ".join(re.sub(r"<[^>]*>|\s+", " ", response.body[:2_000].decode("latin-1")).split())[:120]
    wait = retry_after(response.headers, MINUTE)
    if response.status == 503 and _MAINTENANCE.search(page.lower()):
        raise TransientError(f"{response.url} is closed for a while (503, a page: {page})", wait)
    raise SourceBlocked(
        f"a firewall in front of {response.url} refused the call ({response.status}, a page: {page or 'without text'})"
        f"; set {environment.CONTACT} so that calls name whom to write to, or call from another address",
        wait,
    )


def refuse_broken_json(response: Response, otherwise: str | None = None) -> None:
    """Raises TransientError for a document that breaks off: what is whole and wrong is for the parser to name."""
    try:
        read_json(response.body, otherwise)
    except json.JSONDecodeError as error:
        raise TransientError(f"{response.url} answered broken JSON: {error}") from error
    except ValueError:
        return


def retry_after(headers: Mapping[str, str], otherwise: float | None = None) -> float | None:
    """Seconds from a Retry-After header (seconds or an HTTP date), else from one that ends a quota; `otherwise` if both
    are absent or unreadable."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return _reset(headers, otherwise)
    if moment.tzinfo is None:  # written with the zone -0000
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, moment.timestamp() - time.time()), _LONGEST)


def _reset(headers: Mapping[str, str], otherwise: float | None) -> float | None:
    """Seconds from the first header that ends a quota; numbers of 1970's epoch are moments, in s or ms."""
    for name in _RESETS:
        text = headers.get(name, "").strip()
        if re.fullmatch(r"[0-9]{1,14}(\.[0-9]+)?", text):
            number = float(text)
            if number > 1e9:
                number = (number / 1_000 if number > 1e11 else number) - time.time()
            return min(max(0.0, number), _LONGEST)
    return otherwise


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
