"""`CityData` and `AsyncCityData`: the same questions, blocking or awaited.

Belongs here: sending, waiting, progress. Does not: which requests a question is and when one is retried (questions.py).
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import httpx
import pandas as pd
from typing_extensions import Self, Unpack

from city_data_client.arguments import Ahead, Frame, Range
from city_data_client.cache import DEFAULT_BYTES
from city_data_client.frames import polars_of
from city_data_client.questions import Outcome, Plan, Questions, Retries, Wait, advance

if TYPE_CHECKING:
    import polars as pl

TIMEOUT_S = 30.0
To = Literal["pandas", "polars"]
Progress = Callable[[int, int | None], None]
T = TypeVar("T")


def _shown(received: int, total: int | None) -> None:
    """One line on a terminal, rewritten as bytes come in."""
    of = f" of {total / 1e6:.1f}" if total else ""
    sys.stderr.write(f"\rcity_data: {received / 1e6:.1f}{of} MB")
    if total is not None and received >= total:
        sys.stderr.write("\n")


class _Client(Questions):
    """`url` is the service's address, `token` a bearer token whose tenant is `tenant_id`.

    `cache`: a folder for answers by their ETag (by default the user's cache folder), False for none. `progress`: True
    for a line on the terminal, or a function of the bytes received and of all bytes, where that is known. `optimized`:
    False uses the deprecated routes; by default as USE_OPTIMIZED_EXTERNAL_ENDPOINTS says, and yes without it.
    `attributes`: coverage, snapshot and more of the latest frame, which a polars frame cannot carry in itself.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        tenant_id: str | None = None,
        *,
        cache: Path | Literal[False] | None = None,
        cache_bytes: int = DEFAULT_BYTES,
        progress: bool | Progress = False,
        retries: Retries | None = None,
        optimized: bool | None = None,
        timeout: float = TIMEOUT_S,
    ) -> None:
        super().__init__(url, token, tenant_id, cache, cache_bytes, retries or Retries(), optimized)
        self._progress = _shown if progress is True else progress or None
        self._timeout = timeout
        self.attributes: dict[str, Any] = {}

    def _converted(self, frame: pd.DataFrame, to: To) -> pd.DataFrame | pl.DataFrame:
        if to not in ("pandas", "polars"):
            raise ValueError(f"to={to!r}: 'pandas' or 'polars'")
        self.attributes = {str(name): value for name, value in frame.attrs.items()}
        return frame if to == "pandas" else polars_of(frame)

    def _received(self, answer: httpx.Response) -> None:
        if self._progress is not None:
            length = answer.headers.get("content-length")
            self._progress(answer.num_bytes_downloaded, int(length) if length else None)


class CityData(_Client):
    """A blocking client. Use it in a `with` block, or call `close`. Raises CityDataError's kinds."""

    _http: httpx.Client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if "_http" in self.__dict__:
            self._http.close()
            del self._http

    def cities(self) -> pd.DataFrame:
        """One row a city, by `city_id`: name, country, coordinates, radius_km, timezone, providers."""
        return self._run(self._cities())

    def availability(self, city: str) -> dict[str, Any]:
        """A city's stored months, month by month."""
        return self._run(self._availability(city))

    @overload
    def weather(self, *, to: Literal["polars"], **question: Unpack[Range]) -> pl.DataFrame: ...
    @overload
    def weather(self, *, to: Literal["pandas"] = ..., **question: Unpack[Range]) -> pd.DataFrame: ...
    def weather(self, *, to: To = "pandas", **question: Unpack[Range]) -> pd.DataFrame | pl.DataFrame:
        """Weather of a location, see `Range`: index `date`; °C, mm, %, m/s, hPa at sea level."""
        return self._converted(self._run(self._history("weather", **question)), to)

    @overload
    def traffic(self, *, to: Literal["polars"], **question: Unpack[Range]) -> pl.DataFrame: ...
    @overload
    def traffic(self, *, to: Literal["pandas"] = ..., **question: Unpack[Range]) -> pd.DataFrame: ...
    def traffic(self, *, to: To = "pandas", **question: Unpack[Range]) -> pd.DataFrame | pl.DataFrame:
        """Traffic of a location, see `Range`: index `date`; vehicles/h, persons/h, km/h."""
        return self._converted(self._run(self._history("traffic", **question)), to)

    @overload
    def forecast(self, *, to: Literal["polars"], **question: Unpack[Range]) -> pl.DataFrame: ...
    @overload
    def forecast(self, *, to: Literal["pandas"] = ..., **question: Unpack[Range]) -> pd.DataFrame: ...
    def forecast(self, *, to: To = "pandas", **question: Unpack[Range]) -> pd.DataFrame | pl.DataFrame:
        """Weather of a location as it was forecast, see `Range`: a row for each hour and each of its `lead_days`, a
        column of 1 to 7 days before it. Index `date`; units as of `weather`."""
        return self._converted(self._run(self._history("forecast", **question)), to)

    @overload
    def training_frame(self, *, to: Literal["polars"], **question: Unpack[Frame]) -> pl.DataFrame: ...
    @overload
    def training_frame(self, *, to: Literal["pandas"] = ..., **question: Unpack[Frame]) -> pd.DataFrame: ...
    def training_frame(self, *, to: To = "pandas", **question: Unpack[Frame]) -> pd.DataFrame | pl.DataFrame:
        """Weather, traffic and calendar of a location on one grid, see `Frame`: a row for every local day, for every
        part of a day with `resolution="dayparts"`, or for every hour with `resolution="hourly"`. Index `date`, its
        start in UTC; `local_date` is the city's day. What is missing is NaN and marked in `<column>_missing`: nothing
        is filled in."""
        return self._converted(self._run(self._training_frame(**question)), to)

    @overload
    def forecast_frame(self, *, to: Literal["polars"], **question: Unpack[Ahead]) -> pl.DataFrame: ...
    @overload
    def forecast_frame(self, *, to: Literal["pandas"] = ..., **question: Unpack[Ahead]) -> pd.DataFrame: ...
    def forecast_frame(self, *, to: To = "pandas", **question: Unpack[Ahead]) -> pd.DataFrame | pl.DataFrame:
        """The days ahead, see `Ahead`, in exactly the columns of `training_frame`: the forecasts, and what is known of
        the calendar. A day's `weather_lead_days` is what to train with."""
        return self._converted(self._run(self._forecast_frame(**question)), to)

    def _run(self, plan: Plan[T]) -> T:
        outcome: Outcome = None
        try:
            while True:
                step = advance(plan, outcome)
                if isinstance(step, Wait):
                    time.sleep(step.seconds)
                    outcome = None
                else:
                    outcome = self._sent(step)
        except StopIteration as end:
            result: T = end.value
            return result

    def _sent(self, request: httpx.Request) -> Outcome:
        try:
            return self._send(request)
        except httpx.TransportError as error:
            return error

    def _send(self, request: httpx.Request) -> httpx.Response:
        if "_http" not in self.__dict__:
            self._http = httpx.Client(timeout=self._timeout)
        answer = self._http.send(request, stream=True)
        try:
            body = b"".join(self._told(answer))
        finally:
            answer.close()
        return _whole(request, answer, body)

    def _told(self, answer: httpx.Response) -> Iterator[bytes]:
        for chunk in answer.iter_bytes():
            self._received(answer)
            yield chunk


class AsyncCityData(_Client):
    """An awaiting client. Use it in an `async with` block, or await `aclose`. Raises CityDataError's kinds."""

    _http: httpx.AsyncClient

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if "_http" in self.__dict__:
            await self._http.aclose()
            del self._http

    async def cities(self) -> pd.DataFrame:
        """As `CityData.cities`."""
        return await self._run(self._cities())

    async def availability(self, city: str) -> dict[str, Any]:
        """As `CityData.availability`."""
        return await self._run(self._availability(city))

    @overload
    async def weather(self, *, to: Literal["polars"], **question: Unpack[Range]) -> pl.DataFrame: ...
    @overload
    async def weather(self, *, to: Literal["pandas"] = ..., **question: Unpack[Range]) -> pd.DataFrame: ...
    async def weather(self, *, to: To = "pandas", **question: Unpack[Range]) -> pd.DataFrame | pl.DataFrame:
        """As `CityData.weather`."""
        return self._converted(await self._run(self._history("weather", **question)), to)

    @overload
    async def traffic(self, *, to: Literal["polars"], **question: Unpack[Range]) -> pl.DataFrame: ...
    @overload
    async def traffic(self, *, to: Literal["pandas"] = ..., **question: Unpack[Range]) -> pd.DataFrame: ...
    async def traffic(self, *, to: To = "pandas", **question: Unpack[Range]) -> pd.DataFrame | pl.DataFrame:
        """As `CityData.traffic`."""
        return self._converted(await self._run(self._history("traffic", **question)), to)

    @overload
    async def forecast(self, *, to: Literal["polars"], **question: Unpack[Range]) -> pl.DataFrame: ...
    @overload
    async def forecast(self, *, to: Literal["pandas"] = ..., **question: Unpack[Range]) -> pd.DataFrame: ...
    async def forecast(self, *, to: To = "pandas", **question: Unpack[Range]) -> pd.DataFrame | pl.DataFrame:
        """As `CityData.forecast`."""
        return self._converted(await self._run(self._history("forecast", **question)), to)

    @overload
    async def training_frame(self, *, to: Literal["polars"], **question: Unpack[Frame]) -> pl.DataFrame: ...
    @overload
    async def training_frame(self, *, to: Literal["pandas"] = ..., **question: Unpack[Frame]) -> pd.DataFrame: ...
    async def training_frame(self, *, to: To = "pandas", **question: Unpack[Frame]) -> pd.DataFrame | pl.DataFrame:
        """As `CityData.training_frame`."""
        return self._converted(await self._run(self._training_frame(**question)), to)

    @overload
    async def forecast_frame(self, *, to: Literal["polars"], **question: Unpack[Ahead]) -> pl.DataFrame: ...
    @overload
    async def forecast_frame(self, *, to: Literal["pandas"] = ..., **question: Unpack[Ahead]) -> pd.DataFrame: ...
    async def forecast_frame(self, *, to: To = "pandas", **question: Unpack[Ahead]) -> pd.DataFrame | pl.DataFrame:
        """As `CityData.forecast_frame`."""
        return self._converted(await self._run(self._forecast_frame(**question)), to)

    async def _run(self, plan: Plan[T]) -> T:
        outcome: Outcome = None
        try:
            while True:
                step = advance(plan, outcome)
                if isinstance(step, Wait):
                    await asyncio.sleep(step.seconds)
                    outcome = None
                else:
                    outcome = await self._sent(step)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _sent(self, request: httpx.Request) -> Outcome:
        try:
            return await self._send(request)
        except httpx.TransportError as error:
            return error

    async def _send(self, request: httpx.Request) -> httpx.Response:
        if "_http" not in self.__dict__:
            self._http = httpx.AsyncClient(timeout=self._timeout)
        answer = await self._http.send(request, stream=True)
        try:
            body = b"".join([chunk async for chunk in self._told(answer)])
        finally:
            await answer.aclose()
        return _whole(request, answer, body)

    async def _told(self, answer: httpx.Response) -> AsyncIterator[bytes]:
        async for chunk in answer.aiter_bytes():
            self._received(answer)
            yield chunk


def _whole(request: httpx.Request, answer: httpx.Response, body: bytes) -> httpx.Response:
    """The answer with its decoded body: its headers must not claim a coding any more."""
    headers = [
        (name, value) for name, value in answer.headers.items() if name not in ("content-encoding", "content-length")
    ]
    return httpx.Response(answer.status_code, headers=headers, content=body, request=request)
