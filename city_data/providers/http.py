"""The one HTTP client of the providers: budgets, deadlines, retries, host allow-list, byte caps, resumed downloads.

Belongs here: calling any source. Does not: the meaning of an answer, which each provider decides through `accept`.
"""

from __future__ import annotations

import logging
import random
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlunsplit

from city_data import environment
from city_data.providers.capabilities import Capabilities, RateLimit
from city_data.providers.errors import PermanentError, QuotaExceeded, TransientError
from city_data.providers.transport.addresses import checked, redirected
from city_data.providers.transport.body import Part, first, plain, validator
from city_data.providers.transport.call_budget import Budget, Unlimited
from city_data.providers.transport.clock import Clock, SystemClock
from city_data.providers.transport.request import HttpRequest
from city_data.providers.transport.response import Response, accept_ok, bare, hiding
from city_data.providers.transport.settings import HttpSettings as HttpSettings
from city_data.providers.transport.settings import routes as routes

if TYPE_CHECKING:
    import httpx

# A stand-in server names itself in every answer, and the rows built from it carry the name in `source`.
ORIGIN_HEADER = "X-City-Data-Origin"
USER_AGENT = "city_data/0.1 (shared city history; {contact})"
MAX_HOPS = 5
# It logs every address with its query, where some sources want their key.
logging.getLogger("httpx").setLevel(logging.WARNING)


Accept = Callable[[Response], None]


@dataclass
class HttpClient:
    """Calls one provider, within `rate_limit`, else that of its capabilities. `accept` raises TransientError for what
    may be asked again, and any other outcome to stop."""

    provider: str
    capabilities: Capabilities
    budget: Budget = field(default_factory=Unlimited)
    settings: HttpSettings = field(default_factory=HttpSettings)
    clock: Clock = field(default_factory=SystemClock)
    routes: Mapping[str, str] = field(default_factory=routes)
    rate_limit: RateLimit | None = None

    def get(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Accept = accept_ok,
        max_bytes: int = 32_000_000,
        secret_params: Mapping[str, str] | None = None,
    ) -> Response:
        """The whole answer in memory, at most `max_bytes`.

        Keys travel in `headers`, which never leave the first host, or in `secret_params`, which are added to the first
        address only. Their values are redacted in every error, even where the source repeats them.

        Raises TransientError once attempts or the deadline are used up, PermanentError for a refused host or too
        many bytes, and whatever `accept` raises.
        """
        return self._whole(HttpRequest(url, params, headers, secret_params), accept, max_bytes)

    def post(
        self,
        url: str,
        form: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        accept: Accept = accept_ok,
        max_bytes: int = 1_000_000,
    ) -> Response:
        """As `get`, with a form, such as a token request. A redirect is a PermanentError."""
        return self._whole(HttpRequest(url, headers=headers, form=form, method="POST"), accept, max_bytes)

    def _whole(self, request: HttpRequest, accept: Accept, max_bytes: int) -> Response:
        def once(deadline: float) -> Response:
            url = request.url
            with hiding(request.secrets):
                with self._open(request, deadline) as answer:
                    body = bytearray()
                    for chunk in plain(answer, self._chunks(answer.iter_raw(), deadline, url), max_bytes):
                        body += chunk
                        if len(body) > max_bytes:
                            raise PermanentError(f"{self.provider}: {bare(url)} sent more than {max_bytes:,} bytes")
                    response = _response(answer, url, bytes(body))
                accept(response)
            return response

        return self._retrying(request.url, once, self.settings.deadline)

    def head(self, url: str, accept: Accept = accept_ok) -> Response:
        """Status and headers of the answer, without its body. Raises as `get` does."""
        return self._whole(
            HttpRequest(url, every_hop_headers={"Accept-Encoding": "identity"}, method="HEAD"), accept, 0
        )

    def beginning(self, url: str, into: Path, size: int, accept: Accept = accept_ok) -> Response:
        """The first `size` bytes of a file in the file `into`; the rest is not read, also of a server that knows no
        ranges. Raises as `get` does."""
        headers = {"Accept-Encoding": "identity", "Range": f"bytes=0-{size - 1}"}

        def once(deadline: float) -> Response:
            with self._open(HttpRequest(url, every_hop_headers=headers), deadline) as answer:
                body = b"".join(first(self._chunks(answer.iter_raw(), deadline, url), size))
                response = _response(answer, url, body)
            accept(response)
            return response

        response = self._retrying(url, once, self.settings.deadline)
        into.write_bytes(response.body)
        return response

    def download(
        self,
        url: str,
        into: Path,
        accept: Accept = accept_ok,
        max_bytes: int = 2_000_000_000,
        unless: Mapping[str, str] | None = None,
    ) -> Response:
        """Stream the answer into the file `into`, resuming where a broken transfer stopped, and check its length.

        `unless` are conditions, such as If-None-Match; `accept` raises the outcome of a 304. Raises as `get` does;
        a partial file is left beside `into` as `*.part` only while attempts remain.
        """
        part = Part(into.with_name(into.name + ".part"))
        part.clear()

        def once(deadline: float) -> Response:
            return self._transfer(url, part, accept, max_bytes, deadline, unless or {})

        try:
            response = self._retrying(url, once, self.settings.download_deadline)
            part.path.replace(into)
        finally:
            part.clear()
        return response

    def _transfer(
        self, url: str, part: Part, accept: Accept, max_bytes: int, deadline: float, unless: Mapping[str, str]
    ) -> Response:
        done = part.size()
        every_hop_headers = {"Accept-Encoding": "identity", **unless, **part.wanted()}
        with self._open(HttpRequest(url, every_hop_headers=every_hop_headers), deadline) as answer:
            if answer.status_code not in (200, 206):
                body = b"".join(first(self._chunks(answer.iter_raw(), deadline, url), 4096))
                if answer.status_code == 416 and done:
                    part.clear()
                    raise TransientError(f"{self.provider}: {bare(url)} cannot be resumed at byte {done:,}")
                accept(_response(answer, url, body))
                raise PermanentError(f"{self.provider}: {bare(url)} answered {answer.status_code} to a download")
            if answer.status_code == 206 and not answer.headers.get("content-range", "").startswith(f"bytes {done}-"):
                part.clear()
                raise TransientError(f"{self.provider}: {bare(url)} sent another range than the one from {done:,}")
            if answer.status_code == 200:
                done, part.validator = 0, validator(answer.headers)
            expected = answer.headers.get("content-length")
            total = done + int(expected) if expected else None
            with part.path.open("ab" if done else "wb") as file:
                for chunk in self._chunks(answer.iter_raw(), deadline, url):
                    file.write(chunk)
                    if file.tell() > max_bytes:
                        raise PermanentError(f"{self.provider}: {bare(url)} is larger than {max_bytes:,} bytes")
            if total is not None and part.size() != total:
                raise TransientError(f"{self.provider}: {bare(url)} ended at byte {part.size():,} of {total:,}")
            return _response(answer, url, b"")

    @contextmanager
    def _open(self, request: HttpRequest, deadline: float) -> Iterator[httpx.Response]:
        import httpx

        url, params, form = request.url, request.query, request.form
        first_host = ""
        for _ in range(MAX_HOPS):
            host, target = self._checked(url)
            first_host = first_host or host
            sent = {"User-Agent": _user_agent(), "Accept-Encoding": "gzip", **(request.every_hop_headers or {})}
            sent |= request.headers or {} if host == first_host else {}
            timeout = httpx.Timeout(self.settings.read_timeout, connect=self.settings.connect_timeout)
            self._spend(host, deadline)
            try:
                with (
                    httpx.Client(timeout=timeout, trust_env=not self.routes, verify=_ssl_context()) as client,
                    client.stream(request.method, target, params=params, headers=sent, data=form) as answer,
                ):
                    if not answer.has_redirect_location:  # a 304 has none
                        yield answer
                        return
                    if form is not None:
                        raise PermanentError(f"{self.provider}: {bare(url)} redirects a POST")
                    url, params = redirected(url, answer.headers.get("location", "")), None
            except (httpx.InvalidURL, UnicodeEncodeError) as error:
                raise PermanentError(
                    f"{self.provider}: refused to call {bare(url)}: its address, a key or a parameter cannot be sent"
                ) from error
            except httpx.RequestError as error:
                reason = f"{type(error).__name__}: {error}".rstrip(": ")
                raise TransientError(f"{self.provider}: {bare(url)}: {reason}") from error
        raise PermanentError(f"{self.provider}: more than {MAX_HOPS} redirects, the last to {bare(url)}")

    def _checked(self, url: str) -> tuple[str, str]:
        """The host, and the address to call, which may be routed. Raises PermanentError where it may not be called."""
        parts = checked(url, self.capabilities.hosts)
        host = parts.hostname or ""
        base = self.routes.get(host)
        return host, url if base is None else base.rstrip("/") + urlunsplit(("", "", parts.path, parts.query, ""))

    def _spend(self, host: str, deadline: float) -> None:
        if host in self.routes:
            return  # a server of our own has no budget to respect
        patience = max(0.0, deadline - self.clock.monotonic())
        wait = self.budget.reserve(self.provider, self.rate_limit or self.capabilities.rate_limit, patience)
        if wait > patience:
            raise TransientError(f"{self.provider}: the call budget is used up; next call in {wait:.0f} s", wait)
        if wait > 0:
            self.clock.sleep(wait)

    def _chunks(self, chunks: Iterator[bytes], deadline: float, url: str) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk
            if self.clock.monotonic() > deadline:
                raise TransientError(f"{self.provider}: {bare(url)} had not finished at the deadline")

    def _retrying(self, url: str, once: Callable[[float], Response], seconds: float) -> Response:
        """The retry loop. Not a library's, since the wait obeys Retry-After, the deadline and an injected clock at
        once."""
        import structlog

        log = structlog.get_logger(__name__)
        deadline = self.clock.monotonic() + seconds
        for attempt in range(1, self.settings.attempts + 1):
            try:
                return once(deadline)
            except TransientError as error:
                wait = self._wait(error, attempt)
                if isinstance(error, QuotaExceeded) and wait > self.settings.longest_wait:
                    self.budget.block(self.provider, wait)
                last = attempt == self.settings.attempts or wait > self.settings.longest_wait
                if last or self.clock.monotonic() + wait > deadline:
                    raise
                log.warning("retry", provider=self.provider, url=bare(url), attempt=attempt, wait=wait, why=str(error))
                self.clock.sleep(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _wait(self, error: TransientError, attempt: int) -> float:
        if error.retry_after is not None:
            return error.retry_after
        return float(self.settings.backoff * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311  jitter


def _user_agent() -> str:
    return USER_AGENT.format(contact=environment.CONTACT.get() or "one polite client a city")


@cache
def _ssl_context() -> ssl.SSLContext:
    """One context for all calls: reading the certificates takes 20 ms."""
    import httpx

    return httpx.create_ssl_context()


def _response(answer: httpx.Response, url: str, body: bytes) -> Response:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Response(answer.status_code, headers, bare(url), body, headers.get(ORIGIN_HEADER.lower()))
