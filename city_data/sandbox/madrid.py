"""The wire of datos.madrid.es: the CKAN catalogue of the traffic history, and its ZIP downloads.

Belongs here: the catalogue's texts, the routes, the months listed. Does not: the files (madrid_archive.py).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse, JSONResponse, Response

from city_data.sandbox.base import Setting, Source
from city_data.sandbox.madrid_archive import LAG, SIZES, Archive
from city_data.sandbox.publication import Publication
from city_data.window import Month

HOST = "datos.madrid.es"
PACKAGE = "208627-0-transporte-ptomedida-historico"
_OPEN_LAG = timedelta(days=2)  # of the days in the open month's file
_FIRST = Month(2013, 1)
_NEW_STYLE = Month(2026, 1)
# fmt: off
_NAMES = ("Enero", "Febrero", "Marzo", "Abril", "Mayo", "Junio",
          "Julio", "Agosto", "Septiembre", "Octubre", "Noviembre", "Diciembre")
# fmt: on


class Madrid(Source):
    hosts = (HOST,)

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.archive = Archive(setting.folder, SIZES[setting.size])

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(f"/{HOST}/api/3/action/package_show", self.package_show)
        download = f"/{HOST}/dataset/{PACKAGE}/resource/{{resource}}/download/{{name}}"
        router.add_api_route(download, self.download, methods=["GET", "HEAD"], response_model=None)
        return router

    def file_path(self, month: Month) -> str:
        resource, name = names(month)
        return f"/{HOST}/dataset/{PACKAGE}/resource/{resource}/download/{name}"

    def package_show(self, id: str = "") -> JSONResponse:  # noqa: A002  CKAN's own parameter
        help_url = f"https://{HOST}/api/3/action/help_show?name=package_show"
        if id != PACKAGE:
            error = {"__type": "Not Found Error", "message": "Not found"}
            return JSONResponse({"help": help_url, "success": False, "error": error}, 404)
        resources = [resource(month) for month, _ in listed_months(self.publication)]
        resources.sort(key=lambda entry: int(entry["id"].split("-")[1]))
        package = {
            "id": PACKAGE,
            "name": PACKAGE,
            "title": "Tráfico. Histórico de datos del tráfico desde 2013",
            "license_id": "cc-by",
            "license_title": "Creative Commons Attribution",
            "type": "dataset",
            "num_resources": len(resources),
            "resources": [entry | {"position": position} for position, entry in enumerate(resources)],
        }
        return JSONResponse({"help": help_url, "success": True, "result": package})

    def download(self, resource: str, name: str) -> Response:
        for month, last_day in listed_months(self.publication):
            if (resource, name) == names(month):
                file = self.archive.file(month, last_day, self.publication.revision(month))
                return FileResponse(file, media_type="application/zip")
        return Response("<html><body><h1>404 Not Found</h1></body></html>", 404, media_type="text/html")


def listed_months(publication: Publication) -> list[tuple[Month, date]]:
    """Every month listed, with the last day in its file, oldest first."""
    listed = []
    for month in publication.first_month.until(Month.of(publication.today) + 1):
        last = last_listed_day(publication, month)
        if last is not None:
            listed.append((month, last))
    return listed


def last_listed_day(publication: Publication, month: Month) -> date | None:
    """The last day in the month's file, None where no file is listed."""
    today = publication.today
    if month in publication.unpublished or not publication.first_month <= month <= Month.of(today):
        return None
    if today >= (month + 1).first_day + LAG:
        return month.last_day
    last = min(month.last_day, today - _OPEN_LAG)
    return last if publication.list_open_month and last >= month.first_day else None


def names(month: Month) -> tuple[str, str]:
    """The resource's id and its file's name. The number does not identify the month; only new names do."""
    months = (month.year - _FIRST.year) * 12 + month.month - _FIRST.month
    identity = f"208627-{(months * 97 + 31) % 397}-transporte-ptomedida-historico"
    if month >= _NEW_STYLE:
        return identity, f"{month.month:02d}-{month.year}.zip"
    return f"{identity}-zip", f"{identity}-zip.zip"


def resource(month: Month) -> dict[str, Any]:
    """The month as the catalogue lists it; Decembers of odd years are misspelt, as the city has done."""
    identity, file = names(month)
    name = _NAMES[month.month - 1]
    if month.month == 12 and month.year % 2:
        name = "Diciiembre"
    return {
        "id": identity,
        "package_id": PACKAGE,
        "name": f"Histórico de datos del tráfico. {month.year}",
        "description": f"Histórico de datos del tráfico. {name} {month.year}",
        "format": "ZIP",
        "mimetype": "application/zip",
        "state": "active",
        "url": f"https://{HOST}/dataset/{PACKAGE}/resource/{identity}/download/{file}",
    }
