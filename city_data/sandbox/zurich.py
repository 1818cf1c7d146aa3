"""The wire of data.stadt-zuerich.ch: CKAN's catalogue, SQL on the motor counts, and the pedestrians' file.

Belongs here: routes, the few forms of SQL, CKAN's errors, the lags. Does not: the numbers (zurich_counts.py).
"""

from __future__ import annotations

import re
import threading
import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from city_data.sandbox.base import Setting, Source
from city_data.sandbox.zurich_counts import TIMEZONE, foot_csv, month_rows
from city_data.window import Month

HOST = "data.stadt-zuerich.ch"
COUNTS, FOOT = "sid_dav_verkehrszaehlung_miv_od2031", "hystreet_fussgaengerfrequenzen"
FOOT_FILE = f"{FOOT}_seit2021.csv"
_API = f"/{HOST}/api/3/action"
_ROWS = (
    r'FROM "(?P<table>[0-9a-f-]{36})" WHERE "MessungDatZeit" >= \'(?P<first>\d{4}-\d\d-\d\d)T00:00:00\''
    r" AND \"MessungDatZeit\" < '(?P<after>\d{4}-\d\d-\d\d)T00:00:00'"
)
_FORMS = {
    "count": re.compile(rf"SELECT count\(\*\) AS n {_ROWS}"),
    "sum": re.compile(
        r'SELECT count\(\*\) AS n, sum\("AnzFahrzeuge"::INT\) AS vehicles '
        rf"{_ROWS} AND \"AnzFahrzeugeStatus\" = 'Gemessen'"
    ),
    "newest": re.compile(r'SELECT max\("MessungDatZeit"\) AS newest FROM "(?P<table>[0-9a-f-]{36})"'),
    "page": re.compile(
        rf'SELECT "_id","MSID","ZSID","MessungDatZeit","AnzFahrzeuge","AnzFahrzeugeStatus" {_ROWS}'
        r' ORDER BY "_id" LIMIT (?P<limit>\d+) OFFSET (?P<offset>\d+)'
    ),
}
_MOST = 32_000  # CKAN's own limit of rows in an answer


class Zurich(Source):
    hosts = (HOST,)

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._lock = threading.Lock()

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(f"{_API}/package_show", self.package_show)
        router.add_api_route(f"{_API}/datastore_search_sql", self.sql)
        download = f"/{HOST}/dataset/{FOOT}/download/{FOOT_FILE}"
        router.add_api_route(download, self.foot, methods=["GET", "HEAD"], response_model=None)
        return router

    def package_show(self, id: str = "") -> JSONResponse:  # noqa: A002  CKAN's own parameter
        if id == COUNTS:
            return _success({"name": COUNTS, "resources": [_year(year) for year in self._years()]})
        if id == FOOT:
            url = f"https://{HOST}/dataset/{FOOT}/download/{FOOT_FILE}"
            resource = {"id": str(_uuid(FOOT)), "name": FOOT_FILE, "url": url, "datastore_active": True}
            return _success(
                {"name": FOOT, "resources": [resource, resource | {"url": url.replace(".csv", ".parquet")}]}
            )
        return _error("Not found", 404)

    def sql(self, sql: str = "") -> JSONResponse:
        """The rows, numbers or newest stamp of the forms that are simulated."""
        for name, form in _FORMS.items():
            if match := form.fullmatch(sql):
                part = match.groupdict()
                year = next((year for year in self._years() if str(_uuid(f"{year}")) == part["table"]), None)
                if year is None:
                    return _error(f'relation "{part["table"]}" does not exist', 409)
                return _success({"sql": sql, "records": self._records(name, year, part), "fields": []})
        return _error("only some forms of SQL are simulated", 409)

    def foot(self, request: Request) -> Response:
        """With a tag of the hour it was written in, and 304 where the client has it."""
        path = self._foot_file()
        headers = {"ETag": f'"{path.stem}"'}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return FileResponse(path, media_type="text/csv", headers=headers)

    def _years(self) -> list[int]:
        return list(range(self.publication.first_month.year, self._last_day().year + 1))

    def _records(self, form: str, year: int, part: dict[str, str]) -> list[dict[str, Any]]:
        if form == "newest":
            months = [month for month in self._months() if month.year == year]
            return [{"newest": self._rows(months[-1])["stamp"].max() if months else None}]
        first, after = (date.fromisoformat(part[name]) for name in ("first", "after"))
        months = [m for m in self._months() if m.year == year and m.last_day >= first]
        tables = [self._rows(month) for month in months if month.first_day < after]
        rows = pl.concat(tables) if tables else month_rows(self.publication.first_month, small=True).head(0)
        rows = rows.filter(pl.col("stamp").is_between(pl.lit(str(first)), pl.lit(str(after)), closed="left"))
        if form == "count":
            return [{"n": str(len(rows))}]
        if form == "sum":
            measured = rows.filter(pl.col("status") == "Gemessen")["vehicles"]
            return [{"n": str(len(measured)), "vehicles": str(measured.sum()) if len(measured) else None}]
        page = rows.sort("id").slice(int(part["offset"]), min(int(part["limit"]), _MOST))
        return page.select(
            _id="id",
            MSID="msid",
            ZSID="zsid",
            MessungDatZeit="stamp",
            AnzFahrzeuge=pl.col("vehicles").cast(pl.String),
            AnzFahrzeugeStatus="status",
        ).to_dicts()

    def _rows(self, month: Month) -> pl.DataFrame:
        """The month's rows that are out."""
        rows = month_rows(month, self.setting.size == "small", self.publication.revision(month))
        return rows.filter(pl.col("stamp") < str(self._last_day() + timedelta(days=1)))

    def _last_day(self) -> date:
        """The last local day of the motor counts: yesterday's."""
        return self.publication.clock().astimezone(ZoneInfo(TIMEZONE)).date() - timedelta(days=1)

    def _running_hour(self) -> datetime:
        """The beginning of the hour that the pedestrians' file, written at :18, was written in."""
        written = self.publication.clock().astimezone(UTC) - timedelta(minutes=18)
        return written.replace(minute=0, second=0, microsecond=0)

    def _months(self) -> list[Month]:
        """Every month with data, the open one included, oldest first."""
        months = self.publication.first_month.until(Month.of(self._last_day()) + 1)
        return [month for month in months if month not in self.publication.unpublished]

    def _foot_file(self) -> Path:
        """The file of this hour; requests for it wait for one another."""
        running, months = self._running_hour(), self._months()
        if (open_month := Month.at(running, TIMEZONE)) not in self.publication.unpublished:
            months = sorted({*months, open_month})
        with self._lock:
            path = self.setting.folder / f"zurich-{running:%Y%m%d%H}-{_uuid(' '.join(map(str, months)))}.csv"
            if not path.exists():
                self.setting.folder.mkdir(parents=True, exist_ok=True)
                part = path.with_suffix(".part")
                part.write_bytes(foot_csv(months, running))
                part.replace(path)
        return path


def _year(year: int) -> dict[str, Any]:
    name = f"sid_dav_verkehrszaehlung_miv_OD2031_{year}.csv"
    url = f"https://{HOST}/dataset/{COUNTS}/download/{name}"
    modified = f"{year + 1}-01-05T06:51:00"
    return {"id": str(_uuid(f"{year}")), "name": name, "url": url, "datastore_active": True, "last_modified": modified}


def _uuid(text: str) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_URL, f"https://{HOST}/{text}")


def _success(result: dict[str, Any]) -> JSONResponse:
    return JSONResponse({"help": f"https://{HOST}/api/3/action/help_show", "success": True, "result": result})


def _error(message: str, status: int) -> JSONResponse:
    return JSONResponse({"success": False, "error": {"message": message, "__type": "Validation Error"}}, status)
