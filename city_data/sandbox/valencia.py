"""The protocol of geoportal.valencia.es: ArcGIS's query of the layer of traffic loops, which has no history.

Belongs here: the layer, its paging, its errors, synthetic loops. Does not: the demand at each hour (traffic.py).
Wire: https://developers.arcgis.com/rest/services-reference/enterprise/query-map-service-layer/

As the real one: at most 2,000 rows an answer, errors with status 200, a page where `f` is not json, stamps in epoch ms
UTC, null on dead loops. Without `orderByFields` rows lie in the order of their last change, so that paging while the
layer moves repeats some and loses others.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from city_data.sandbox.base import Source
from city_data.sandbox.faults import FROZEN_AT
from city_data.sandbox.madrid_archive import HOLIDAYS
from city_data.sandbox.noise import bell, uniform
from city_data.sandbox.traffic import Quarters, quarters
from city_data.window import Month

HOST = "geoportal.valencia.es"
LAYER = f"/{HOST}/server/rest/services/OPENDATA/Trafico/MapServer/208/query"
MOST_ROWS = 2000
LOOPS = {"small": 60, "full": 2_300}
TYPES = {"idpm": "esriFieldTypeInteger", "ih": "esriFieldTypeInteger", "fecha_actualizacion": "esriFieldTypeDate"}
_TIMEZONE = "Europe/Madrid"
_BASE, _FATE, _NOISE, _EVENT = range(301, 305)
_QUARTER_S = 900
_STOOD_STILL = 1_700_000_000
_SPIKE = 911_392  # such as the city has really published

Row = dict[str, int | None]


class Valencia(Source):
    hosts = (HOST,)

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(LAYER, self.query, response_model=None)
        return router

    def query(self, request: Request) -> Response:
        parameters = request.query_params
        if parameters.get("f", "html") != "json":
            return HTMLResponse("<html><head><title>Query: Espiras (ID: 208)</title></head><body></body></html>")
        fields = list(TYPES) if parameters.get("outFields", "*") == "*" else parameters["outFields"].split(",")
        order = parameters.get("orderByFields")
        if unknown := [name for name in (*fields, *([order] if order else [])) if name not in TYPES]:
            return _error(400, "Failed to execute query.", f"unknown field: {', '.join(unknown)}")
        if parameters.get("where", "") != "1=1":
            return _error(400, "Unable to complete operation.", "'where' clause is required")
        moment = getattr(request.state, FROZEN_AT, None) or self.publication.clock()
        rows = loops(moment, LOOPS[self.setting.size])
        if parameters.get("returnCountOnly") == "true":
            return JSONResponse({"count": len(rows)})
        if order:
            rows = sorted(rows, key=lambda row: row[order] or 0)
        first, most = (
            int(parameters.get("resultOffset", "0")),
            min(int(parameters.get("resultRecordCount", "2000")), MOST_ROWS),
        )
        return JSONResponse(_features(rows[first : first + most], fields, len(rows) > first + most))


def _features(rows: list[Row], fields: list[str], more: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "displayFieldName": "",
        "fieldAliases": {name: name for name in fields},
        "fields": [
            {"name": name, "type": TYPES[name], "alias": name, **({"length": 8} if "Date" in TYPES[name] else {})}
            for name in fields
        ],
        "features": [{"attributes": {name: row[name] for name in fields}} for row in rows],
    }
    return document | ({"exceededTransferLimit": True} if more else {})


def _error(code: int, message: str, *details: str) -> JSONResponse:
    """With status 200, as ArcGIS does."""
    return JSONResponse({"error": {"code": code, "message": message, "details": list(details)}})


def loops(moment: datetime, count: int) -> list[Row]:
    """Every loop's record at a moment, the last changed first.

    Each measures once a quarter hour, on a beat of its own; one of forty is dead and has no stamp, one stands still."""
    index = np.arange(count)
    now = int(moment.timestamp())
    beat = 60 * (index % 7)
    quarter = (now - beat) // _QUARTER_S
    fate = uniform(_FATE, index)
    stamp = np.where((fate >= 0.025) & (fate < 0.05), _STOOD_STILL, quarter * _QUARTER_S + beat)
    demand = np.array([_demand(number) for number in quarter.tolist()])
    base = 480 * np.exp(0.45 * bell(_BASE, index))
    flow = np.round(base * demand * (1 + 0.08 * bell(_NOISE, index, quarter)).clip(0)).astype(np.int64)
    flow = np.where(uniform(_EVENT, index, quarter) < 1e-4, _SPIKE, flow)
    rows: list[Row] = [
        {
            "idpm": 1000 + index,
            "ih": None if fate[index] < 0.025 else int(flow[index]),
            "fecha_actualizacion": None if fate[index] < 0.025 else 1000 * int(stamp[index]),
        }
        for index in range(count)
    ]
    return sorted(rows, key=lambda row: -(row["fecha_actualizacion"] or 0))


def _demand(number: int) -> float:
    """The city's share of its peak in a quarter hour (number since 1970)."""
    month = Month.at(datetime.fromtimestamp(number * _QUARTER_S, UTC), _TIMEZONE)
    quarters_of_month = _month(month)
    return float(quarters_of_month.demand[number - int(quarters_of_month.number[0])])


@lru_cache(maxsize=3)
def _month(month: Month) -> Quarters:
    return quarters(month, month.last_day, HOLIDAYS, _TIMEZONE)
