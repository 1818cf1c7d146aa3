"""The wire of download.data.grandlyon.com: the table of counting channels, and the measures' time series by pages.

Belongs here: routes, conditions, pages, the lag. Does not: the numbers (lyon_counts.py).
No answer of the real time series was recorded: this one follows the national schema and two public clients.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from city_data.sandbox.base import Setting, Source
from city_data.sandbox.lyon_counts import SITES, TIMEZONE, channels, channels_csv, measures
from city_data.window import Month

HOST = "download.data.grandlyon.com"
CHANNELS = f"/{HOST}/ws/rdata/pvo_patrimoine_voirie.pvocomptagechannel/all.csv"
MEASURES = f"/{HOST}/ws/timeseries/pvo_patrimoine_voirie.pvocomptagemeasure/all.json"
_LAG = timedelta(hours=3)
_USUAL_ROWS = 1_000
MOST_ROWS = 1_000_000  # of a page, whatever is requested: a public client requests as many, no limit is documented


class Lyon(Source):
    hosts = (HOST,)

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._sites = SITES[setting.size]
        self._months: dict[tuple[Month, int], list[dict[str, Any]]] = {}

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(CHANNELS, self.channels)
        router.add_api_route(MEASURES, self.measures)
        return router

    def channels(self) -> Response:
        body = channels_csv(channels(self._sites), self.publication.clock())
        return Response(body, media_type="text/csv; charset=utf-8")

    def measures(self, request: Request) -> JSONResponse:
        """Rows from `start` (1 on) of those that begin in a span of days on the city's clock."""
        parameters = request.query_params
        try:
            days = [date.fromisoformat(parameters[f"start_datetime__{word}"]) for word in ("gte", "lt")]
            start, most = int(parameters.get("start", 1)), int(parameters.get("maxfeatures", _USUAL_ROWS))
        except (KeyError, ValueError) as error:
            return JSONResponse({"error": f"only pages of a span of days are simulated: {error}"}, 400)
        rows = self._rows(*days)[start - 1 : start - 1 + min(most, MOST_ROWS)]
        return JSONResponse({"nb_results": len(rows), "values": rows})

    def _rows(self, first: date, after: date) -> list[dict[str, Any]]:
        newest = self._until().astimezone(ZoneInfo(TIMEZONE)).isoformat(" ")
        begin, end = str(first), min(str(after), newest)
        months = Month.of(max(first, self.publication.first_month.first_day)).until(Month.of(after) + 1)
        wanted = [month for month in months if month not in self.publication.unpublished]
        return [row for month in wanted for row in self._month(month) if begin <= row["start_datetime"] < end]

    def _until(self) -> datetime:
        """The start of the first interval that is not out yet."""
        return self.publication.clock() - _LAG

    def _month(self, month: Month) -> list[dict[str, Any]]:
        key = (month, self.publication.revision(month))
        if key not in self._months:
            self._months[key] = measures(month, self._sites, key[1])
        return self._months[key]
