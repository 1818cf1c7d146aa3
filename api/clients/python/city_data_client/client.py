"""`CityData`: the questions, blocking.

Belongs here: sending and waiting. Does not: which requests a question is and when one is retried (questions.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
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


class CityData(BaseClient):
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

    def skill(self, city: str) -> pd.DataFrame:
        """How wrong a city's stored forecasts were: `bias` (forecast less observed), `mae` and `count` of pairs by
        `column`, `lead_days` and `month` of the year. `attrs["left_out"]` has the observed values without a pair."""
        return self._run(self._skill(city))

    @overload
    def history(self, dataset: str, *, to: Literal["polars"], **question: Unpack[Range]) -> pl.DataFrame: ...
    @overload
    def history(self, dataset: str, *, to: Literal["pandas"] = ..., **question: Unpack[Range]) -> pd.DataFrame: ...
    def history(self, dataset: str, *, to: To = "pandas", **question: Unpack[Range]) -> pd.DataFrame | pl.DataFrame:
        """Any dataset's history of a location, see `Range`: `sources` of `cities` names a city's. Index `date`."""
        return self._converted(self._run(self._history(dataset, **question)), to)

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
    def calendar(self, *, to: Literal["polars"], **question: Unpack[Range]) -> pl.DataFrame: ...
    @overload
    def calendar(self, *, to: Literal["pandas"] = ..., **question: Unpack[Range]) -> pd.DataFrame: ...
    def calendar(self, *, to: To = "pandas", **question: Unpack[Range]) -> pd.DataFrame | pl.DataFrame:
        """Holidays and school vacations of a location, see `Range`: a row a local day, index `date`. A holiday's name
        that is missing means an ordinary day where its `<level>_holiday_known` is true."""
        return self._converted(self._run(self._history("calendar", **question)), to)

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
        return whole(request, answer, body)

    def _told(self, answer: httpx.Response) -> Iterator[bytes]:
        for chunk in answer.iter_bytes():
            self._received(answer)
            yield chunk
