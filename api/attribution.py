"""Attribution of data to its providers. Belongs here: cached provider facts, and the headers that credit providers.

Does not: recording the facts, which the platform writes to the store (city_data/store/provider_facts.py).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from urllib.parse import quote

import anyio.to_thread
from anyio import CapacityLimiter

from api.query.planning import Plan
from city_data.store.database import Database
from city_data.store.provider_facts import ProviderFacts, read_providers

_URL_MARKS = ":/?#[]@!$&'()*+,;=%"


class Providers:
    """The recorded facts of all providers, at most `ttl_s` old."""

    def __init__(self, database: Database, limiter: CapacityLimiter, ttl_s: float) -> None:
        self._database = database
        self._limiter = limiter
        self._ttl_s = ttl_s
        self._known: tuple[float, Mapping[str, ProviderFacts]] | None = None

    async def all(self) -> Mapping[str, ProviderFacts]:
        """By name. Raises DatabaseUnavailable."""
        if self._known is None or time.monotonic() - self._known[0] >= self._ttl_s:
            read_at = time.monotonic()
            facts = await anyio.to_thread.run_sync(lambda: read_providers(self._database), limiter=self._limiter)
            self._known = (read_at, facts)
        return self._known[1]


def attribution_headers(*plans: Plan) -> dict[str, str]:
    """`Link` to the licence of every source in the answer (RFC 8288), fallbacks included, and `X-Source` with names."""
    entries = [month_slice.entry for plan in plans for month_slice in plan.slices]
    licences = {
        str(entry.provenance["licence_url"]): str(entry.provenance.get("licence", ""))
        for entry in entries
        if entry.provenance.get("licence_url")
    }
    names = dict.fromkeys(entry.source for entry in entries if entry.source)
    headers = {"Link": ", ".join(_link(url, title) for url, title in licences.items()), "X-Source": ", ".join(names)}
    return {name: text for name, text in headers.items() if text}


def _link(url: str, title: str) -> str:
    """A title with characters that a header does not allow is encoded by RFC 8187."""
    plain = title.isascii() and title.isprintable() and not set(title) & set('"\\')
    text = f'title="{title}"' if plain else f"title*=UTF-8''{quote(title, safe='')}"
    return f'<{quote(url, safe=_URL_MARKS)}>; rel="license"; {text}'
