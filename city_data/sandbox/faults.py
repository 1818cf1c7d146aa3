"""Fault injection: which answers go wrong, how, and how many times.

Belongs here: the orders and the middleware that carries them out. Does not: rewriting of data (spoil.py).
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

import pydantic
from fastapi.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from city_data.errors import CityDataError
from city_data.providers.http import ORIGIN_HEADER
from city_data.sandbox.spoil import Spoil
from city_data.strict_model import StrictModel
from city_data.window import Month

_SPOILT = {field.name for field in fields(Spoil)}
ORIGIN = "sandbox"
_NOT_FOR_SPOILT = (b"if-none-match", b"if-modified-since", b"range")
# Of a table of which the beginning is requested, so many rows are rewritten, and the rest is left out.
_PART_ROWS = 5_000
ORDERS_PATH = "/_faults"
# The key of a request's state with the moment at which a live feed stands still.
FROZEN_AT = "frozen_at"
Answer = tuple[int, dict[str, str], bytes]


class Fault(StrictModel):
    """What goes wrong with answers whose path matches the regular expression `path`, `times` times (None: always).

    `delay` is in seconds. `body` replaces the answer's; with a `status` of an error and no `body` it is empty.
    `truncate` is the share of the body that is sent, under the full Content-Length, before the connection closes.
    `frozen_at` is the moment at which a live feed stands still. `charset` re-encodes a text body.
    `month` swaps a file for that month's. `datos_host` moves AEMET's second step. The other fields are those of Spoil.
    """

    path: str
    times: int | None = pydantic.Field(default=None, ge=1)
    status: int | None = pydantic.Field(default=None, ge=200, le=599)
    headers: dict[str, str] = pydantic.Field(default_factory=dict)
    delay: float = pydantic.Field(default=0.0, ge=0)
    body: str | None = None
    truncate: float | None = pydantic.Field(default=None, ge=0, lt=1)
    charset: str | None = None
    frozen_at: datetime | None = None
    month: str | None = None
    datos_host: str | None = None
    without_column: str | None = None
    extra_column: str | None = None
    bad_values: bool = False
    bad_column: str | None = None
    duplicates: bool = False
    empty_column: str | None = None
    outlier_column: str | None = None
    outliers: int = pydantic.Field(default=0, ge=0)
    swap_decimals: bool = False
    fill_nulls: bool = False
    shift_minutes: int = 0
    scaled_column: str | None = None
    scale: float = 1.0
    padded_column: str | None = None
    more_cells: bool = False

    @pydantic.field_validator("path")
    @classmethod
    def _pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return value

    @pydantic.field_validator("month")
    @classmethod
    def _month(cls, value: str | None) -> str | None:
        return None if value is None else str(Month.parse(value))

    @property
    def makes_own_answer(self) -> bool:
        return self.body is not None or (self.status is not None and self.status >= 400)

    @property
    def spoil(self) -> Spoil:
        return Spoil(**self.model_dump(include=_SPOILT))


@dataclass
class Faults:
    """The orders in force. The first that matches a path is carried out; `carried_out` counts the answers spoilt."""

    carried_out: int = 0
    _orders: list[tuple[Fault, int | None]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def order(self, path: str, **what: Any) -> Fault:
        """Raises pydantic.ValidationError for invalid values."""
        fault = Fault(path=path, **what)
        self.add(fault)
        return fault

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._orders.append((fault, fault.times))

    def clear(self) -> None:
        with self._lock:
            self._orders.clear()

    def take(self, path: str) -> Fault | None:
        """The fault for this answer, counted as carried out."""
        with self._lock:
            for index, (fault, left) in enumerate(self._orders):
                if re.search(fault.path, path):
                    self.carried_out += 1
                    if left is not None and left <= 1:
                        del self._orders[index]
                    elif left is not None:
                        self._orders[index] = (fault, left - 1)
                    return fault
        return None


class CutOff(CityDataError):
    """Raised after a part of a body, so that the server closes the connection."""


@dataclass
class FaultyApp:
    """ASGI middleware: marks every answer with its origin, and applies faults. `another` gives another month's path,
    `answered` counts answers by path and status."""

    app: ASGIApp
    faults: Faults
    another: Callable[[str, Month], str]
    answered: Counter[tuple[str, int]] = field(default_factory=Counter)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def signed(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.answered[path, message["status"]] += 1
                message["headers"] = [*message["headers"], (ORIGIN_HEADER.lower().encode(), ORIGIN.encode())]
            await send(message)

        path = scope.get("path", "")
        fault = None if scope["type"] != "http" or path == ORDERS_PATH else self.faults.take(path)
        if fault is None:
            await self.app(scope, receive, signed)
            return
        if fault.delay and await _gave_up(receive, fault.delay):
            return
        if fault.frozen_at is not None:
            scope = {**scope, "state": {**scope.get("state", {}), FROZEN_AT: fault.frozen_at}}
        if fault.month is not None:
            other = self.another(path, Month.parse(fault.month))
            scope = {**scope, "path": other, "raw_path": other.encode()}
        collected = (200, dict[str, str](), b"")
        status, headers, body = collected if fault.makes_own_answer else await _collect(self.app, scope, receive)
        if fault.body is not None:
            body = fault.body.encode(fault.charset or "utf-8")
            headers = {"content-type": "text/html;charset=UTF-8"}
        elif not fault.makes_own_answer:
            asks_a_part = any(name == b"range" for name, _ in scope["headers"])
            spoilt = await run_in_threadpool(fault.spoil.apply, body, _PART_ROWS if asks_a_part else None)
            if spoilt != body:  # other bytes, for which the tags are wrong
                headers = {name: text for name, text in headers.items() if name not in ("etag", "last-modified")}
            body = spoilt
        answer = (fault.status or status, headers | {k.lower(): v for k, v in fault.headers.items()}, body)
        await _reply(signed, answer, fault.truncate)


async def _gave_up(receive: Receive, seconds: float) -> bool:
    """Wait; True as soon as the client disconnects."""

    async def disconnected() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    try:
        await asyncio.wait_for(disconnected(), seconds)
    except TimeoutError:
        return False
    return True


async def _collect(app: ASGIApp, scope: Scope, receive: Receive) -> Answer:
    """The whole answer, in memory."""
    status, headers, body = 500, dict[str, str](), bytearray()

    async def keep(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            body.extend(message.get("body", b""))

    # Without its conditions, which would be answered by 304, without a body to spoil, and as a whole: a part of a ZIP
    # cannot be rewritten.
    request_headers = [(name, text) for name, text in scope["headers"] if name not in _NOT_FOR_SPOILT]
    await app({**scope, "headers": request_headers, "extensions": {}}, receive, keep)
    return status, headers, bytes(body)


async def _reply(send: Send, answer: Answer, truncate: float | None) -> None:
    status, headers, body = answer
    lines = headers | {"content-length": str(len(body))}
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    if truncate is None:
        await send({"type": "http.response.body", "body": body})
        return
    await send({"type": "http.response.body", "body": body[: int(len(body) * truncate)], "more_body": True})
    raise CutOff
