"""`AsyncCityData`: the same questions, awaited.

Belongs here: sending and waiting. Does not: which requests a question is and when one is retried (questions.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import httpx
import pandas as pd
from typing_extensions import Self, Unpack

from city_data_client.arguments import Ahead, Frame, Range
from city_data_client.base import BaseClient, To, whole
from city_data_client.questions import Outcome, Plan, Wait, advance

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T")


class AsyncCityData(BaseClient):
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

    async def skill(self, city: str) -> pd.DataFrame:
        """As `CityData.skill`."""
        return await self._run(self._skill(city))

    @overload
    async def history(self, dataset: str, *, to: Literal["polars"], **question: Unpack[Range]) -> pl.DataFrame: ...
    @overload
    async def history(
        self, dataset: str, *, to: Literal["pandas"] = ..., **question: Unpack[Range]
    ) -> pd.DataFrame: ...
    async def history(
        self, dataset: str, *, to: To = "pandas", **question: Unpack[Range]
    ) -> pd.DataFrame | pl.DataFrame:
        """As `CityData.history`."""
        return self._converted(await self._run(self._history(dataset, **question)), to)

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
    async def calendar(self, *, to: Literal["polars"], **question: Unpack[Range]) -> pl.DataFrame: ...
    @overload
    async def calendar(self, *, to: Literal["pandas"] = ..., **question: Unpack[Range]) -> pd.DataFrame: ...
    async def calendar(self, *, to: To = "pandas", **question: Unpack[Range]) -> pd.DataFrame | pl.DataFrame:
        """As `CityData.calendar`."""
        return self._converted(await self._run(self._history("calendar", **question)), to)

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
        return whole(request, answer, body)

    async def _told(self, answer: httpx.Response) -> AsyncIterator[bytes]:
        async for chunk in answer.aiter_bytes():
            self._received(answer)
            yield chunk
