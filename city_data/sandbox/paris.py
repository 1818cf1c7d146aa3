"""The wire of opendata.paris.fr: Opendatasoft's records and exports of the road counts, and the archive's attachments.

Belongs here: routes, conditions, the API's errors, the windows. Does not: the numbers (paris_counts.py).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from fastapi import APIRouter
from fastapi.responses import FileResponse, JSONResponse, Response

from city_data.sandbox.base import Setting, Source
from city_data.sandbox.paris_counts import SIZES, TIMEZONE, Counts, export_csv
from city_data.window import Month

HOST = "opendata.paris.fr"
CURRENT = f"/{HOST}/api/explore/v2.1/catalog/datasets/comptages-routiers-permanents"
HISTORY = "comptages-routiers-permanents-historique"
_WINDOW_MONTHS = 14
_DAYS = re.compile(r"t_1h > date'(\d{4}-\d\d-\d\d)' AND t_1h <= date'(\d{4}-\d\d-\d\d)'")
_HOUR = timedelta(hours=1)
_COLUMNS = "iu_ac,t_1h,q,k,etat_trafic,etat_barre"


class Paris(Source):
    hosts = (HOST,)

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.counts = Counts(setting.folder, SIZES[setting.size])

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(f"{CURRENT}/records", self.records)
        router.add_api_route(f"{CURRENT}/exports/csv", self.export, response_model=None)
        router.add_api_route(f"{CURRENT}-historique/attachments", self.attachments)
        download = f"/{HOST}/api/datasets/1.0/{HISTORY}/attachments/opendata_txt_{{year}}_zip/"
        router.add_api_route(download, self.archive, methods=["GET", "HEAD"], response_model=None)
        return router

    def records(self, select: str = "", where: str = "", timezone: str = "") -> JSONResponse:
        """The aggregates that are asked for, in one row."""
        parts = dict(re.findall(r"((?:count|sum|min|max)\([*\w]+\)) as (\w+)", select))
        rows = self._rows(where, timezone)
        if isinstance(rows, JSONResponse) or not parts:
            return rows if isinstance(rows, JSONResponse) else _error("only aggregates are simulated")
        return JSONResponse({"results": [{alias: _aggregate(rows, part) for part, alias in parts.items()}]})

    def export(self, select: str = "", where: str = "", timezone: str = "") -> Response:
        rows = self._rows(where, timezone)
        if isinstance(rows, JSONResponse):
            return rows
        if select != _COLUMNS:
            return _error(f"only the columns {_COLUMNS} are simulated")
        return Response(export_csv(rows.sort("end", "arc")), media_type="text/csv; charset=utf-8")

    def attachments(self) -> JSONResponse:
        base = f"https://{HOST}/api/explore/v2.1/catalog/datasets/{HISTORY}/attachments"
        listed = [
            {
                "href": f"{base}/opendata_txt_{year}_zip",
                "metas": {"mime-type": "application/zip", "title": f"opendata_txt_{year}.zip"},
            }
            for year in self._years()
        ]
        return JSONResponse({"links": [{"rel": "self", "href": base}], "attachments": listed})

    def archive(self, year: int) -> Response:
        if year not in self._years():
            return Response("<html><body><h1>404 Not Found</h1></body></html>", 404, media_type="text/html")
        return FileResponse(self.counts.year(year, self.publication.first_month), media_type="application/zip")

    def _window(self) -> tuple[datetime, datetime]:
        """The first and last end of an hour in the current feed: some fourteen months, up to today's midnight (UTC)."""
        today = self.publication.today
        first = Month.of(today) - (_WINDOW_MONTHS - 1)
        return first.bounds(TIMEZONE)[0] + _HOUR, datetime.combine(today, datetime.min.time(), UTC)

    def _years(self) -> list[int]:
        """The years in the archive: each appears in the February after the year after it."""
        today = self.publication.today
        return list(range(2010, today.year - (1 if today.month >= 2 else 2)))

    def _rows(self, where: str, timezone: str) -> pl.DataFrame | JSONResponse:
        """The feed's rows of a span of UTC days; an answer of the API for another condition."""
        first, last = self._window()
        match = _DAYS.fullmatch(where) if where else None
        if timezone != "UTC" or (where and match is None):
            return _error(f"only whole days of UTC are simulated, not {where!r} in {timezone!r}")
        begins, ends = first - _HOUR, last
        if match is not None:
            begins, ends = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in match.groups())
        wanted = [
            month
            for month in Month.at(max(first, begins), TIMEZONE).until(Month.at(min(last, ends), TIMEZONE) + 1)
            if month not in self.publication.unpublished
        ]
        tables = [self.counts.month(month, self.publication.revision(month)) for month in wanted]
        rows = pl.concat(tables) if tables else self.counts.month(Month.at(first, TIMEZONE)).head(0)
        return rows.filter((pl.col("end") > max(begins, first - _HOUR)) & (pl.col("end") <= min(ends, last)))


def _aggregate(rows: pl.DataFrame, part: str) -> Any:
    """One aggregate, such as `sum(q)`; null without rows."""
    function, column = part.removesuffix(")").split("(")
    if column == "*":
        return len(rows)
    values = rows["end" if column == "t_1h" else column].drop_nulls()
    if function == "count":
        return len(values)
    if not len(values):
        return None
    if column == "t_1h":
        moment = values.dt.min() if function == "min" else values.dt.max()
        return moment.isoformat() if isinstance(moment, datetime) else None
    return float(values.sum())


def _error(text: str) -> JSONResponse:
    return JSONResponse({"message": text, "error_code": "ODSQLError"}, 400)
