"""Checks of addresses that sources name: which may be called, and where a redirect leads.

Belongs here: checks before anything is sent. Does not: the call itself (http.py).
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import SplitResult, urljoin, urlsplit

from city_data.providers.errors import PermanentError
from city_data.providers.transport.response import bare

_LONGEST = 8_000  # what servers take; libraries give up at 65,536


def checked(url: str, hosts: Collection[str]) -> SplitResult:
    """The parts of an address that may be called. Raises PermanentError unless it is https to one of `hosts`."""
    if not url.isprintable() or len(url) > _LONGEST:
        size = f" of {len(url):,} characters" if len(url) > _LONGEST else ""
        raise PermanentError(f"refused to call an address{size} that is not a URL: {url[:200]!r}")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise PermanentError(f"refused to call an invalid address: {url[:200]!r}") from error
    plain = parts.scheme == "https" and port in (None, 443) and parts.username is None
    if not plain or host not in hosts:
        raise PermanentError(f"refused to call {bare(url)}; only https to {', '.join(hosts)} is allowed")
    return parts


def redirected(url: str, location: str) -> str:
    """The absolute address of a `Location`. Raises PermanentError where it is invalid."""
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise PermanentError(f"{bare(url)} redirects to an invalid address: {location[:200]!r}") from error
