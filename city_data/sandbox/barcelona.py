"""The wire of opendata-ajuntament.barcelona.cat: the CKAN catalogue of the road states, and its CSV downloads.

Belongs here: the catalogue's texts, the routes, the months listed. Does not: the files (barcelona_states.py).
"""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse, JSONResponse, Response

from city_data.sandbox.barcelona_states import HEADER, LAG, SIZES, States
from city_data.sandbox.base import Setting, Source
from city_data.window import Month

HOST = "opendata-ajuntament.barcelona.cat"
PACKAGE = "trams"
# Listed by the city, but empty.
EMPTY = (Month(2020, 4), Month(2020, 5))
# fmt: off
_NAMES = ("Gener", "Febrer", "Marc", "Abril", "Maig", "Juny",
          "Juliol", "Agost", "Setembre", "Octubre", "Novembre", "Desembre")
# fmt: on


class Barcelona(Source):
    hosts = (HOST,)

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.states = States(setting.folder, SIZES[setting.size])

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(f"/{HOST}/data/api/3/action/package_show", self.package_show)
        download = f"/{HOST}/data/dataset/{PACKAGE}/resource/{{resource}}/download/{{name}}"
        router.add_api_route(download, self.download, methods=["GET", "HEAD"], response_model=None)
        return router

    def file_path(self, month: Month) -> str:
        return f"/{HOST}{path(month)}"

    def package_show(self, id: str = "") -> JSONResponse:  # noqa: A002  CKAN's own parameter
        help_url = f"https://{HOST}/data/api/3/action/help_show?name=package_show"
        if id != PACKAGE:
            error = {"__type": "Not Found Error", "message": "Not found"}
            return JSONResponse({"help": help_url, "success": False, "error": error}, 404)
        resources = [_live(), *(resource(month) for month in reversed(self._months()))]
        package = {
            "id": str(_uuid("package")),
            "name": PACKAGE,
            "title": "Estat del trànsit als trams de la ciutat de Barcelona",
            "license_id": "CC-BY-4.0",
            "type": "dataset",
            "num_resources": len(resources),
            "resources": [entry | {"position": position} for position, entry in enumerate(resources)],
        }
        return JSONResponse({"help": help_url, "success": True, "result": package})

    def download(self, resource: str, name: str) -> Response:
        for month in self._months():
            if path(month).endswith(f"/{resource}/download/{name}"):
                if month in EMPTY:
                    return Response(HEADER, media_type="text/csv")
                return FileResponse(self.states.file(month), media_type="text/csv")
        return Response("<html><body><h1>404 Not Found</h1></body></html>", 404, media_type="text/html")

    def _months(self) -> list[Month]:
        """Every month listed, oldest first: closed ones only."""
        publication = self.publication
        months = publication.first_month.until(Month.of(publication.today - LAG))
        return [*EMPTY, *(month for month in months if month not in publication.unpublished)]


def file_name(month: Month) -> str:
    """The case varies: capital letters throughout in some years, small ones in others."""
    name = f"{month}_{_NAMES[month.month - 1]}_TRAMS_TRAMS.csv".replace("-", "_")
    return name.upper().replace(".CSV", ".csv") if month.year == 2026 else name


def path(month: Month) -> str:
    return f"/data/dataset/{PACKAGE}/resource/{_uuid(str(month))}/download/{file_name(month)}"


def resource(month: Month) -> dict[str, Any]:
    """The month as the catalogue lists it; one name is misspelt, and some are in small letters, the file's is not."""
    name = file_name(month)
    if month == Month(2025, 2):
        name = name.replace("Febrer", "Febrrer")
    return {
        "id": str(_uuid(str(month))),
        "package_id": str(_uuid("package")),
        "name": name.lower() if month.month % 4 == 3 else name,
        "description": "",
        "format": "CSV",
        "mimetype": "text/csv",
        "state": "active",
        "url": f"https://{HOST}{path(month)}",
    }


def _live() -> dict[str, Any]:
    """The live feed, listed beside the months."""
    name = "TRAMS_TRAMS.dat"
    identity = str(_uuid(name))
    url = f"https://{HOST}/data/dataset/{PACKAGE}/resource/{identity}/download"
    return {"id": identity, "name": name, "format": "DAT", "state": "active", "url": url}


def _uuid(name: str) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_URL, f"https://{HOST}/{name}")
