"""Zurich's answers as files: pages of the DataStore, and the pedestrians' CSV."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from city_data.providers.base import Location, ParsedMonth, Payload, Request, Settings
from city_data.providers.zurich_opendata import ZurichOpenData
from city_data.window import Month
from city_data_tests.sandbox.asking import accounted

ZURICH = Location("zurich", 47.3769, 8.5417, "Europe/Zurich")
AS_OF = datetime(2026, 11, 28, tzinfo=UTC)
# One direction of a street and one of a motorway: with equal counts these are the city's volume.
STREET, MOTORWAY = "Z001M001", "Z024M001"
FOOT_HEADER = "timestamp,location_id,location_name,pedestrians_count,unverified,collection_type"


def parse(month: str, *paths: Path, as_of: datetime = AS_OF) -> ParsedMonth:
    request = Request(ZURICH, Month.parse(month), Settings(), as_of)
    return accounted(ZurichOpenData().parse(request, [Payload(p.name, p, "https://example.org/") for p in paths]))


def page(folder: Path, records: Sequence[Mapping[str, Any]], name: str = "page.json") -> Path:
    path = folder / name
    path.write_text(json.dumps({"success": True, "result": {"records": records}}), encoding="utf-8")
    return path


def record(number: int, series: str, stamp: str, vehicles: Any, status: str = "Gemessen") -> dict[str, Any]:
    site = {"_id": number, "MSID": series, "ZSID": series[:4]}
    return site | {"MessungDatZeit": stamp, "AnzFahrzeuge": vehicles, "AnzFahrzeugeStatus": status}


def counted(folder: Path, stamps: Iterable[tuple[str, Any]], name: str = "page.json") -> Path:
    """The same local hours and counts on the street and on the motorway."""
    hours = list(stamps)
    records = [
        record(1_000 * n + row, series, stamp, vehicles)
        for n, series in enumerate((STREET, MOTORWAY))
        for row, (stamp, vehicles) in enumerate(hours)
    ]
    return page(folder, records, name)


def foot(folder: Path, rows: Iterable[str], header: str = FOOT_HEADER) -> Path:
    path = folder / "pedestrians.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def walked(stamp: str, *persons: object, kind: str = "measured") -> list[str]:
    """An hour of the three sites."""
    sites = ("329", "330", "331")
    return [f"{stamp},{site},Bahnhofstrasse,{count},False,{kind}" for site, count in zip(sites, persons, strict=False)]


def value(month: ParsedMonth, hour: str, column: str = "traffic_volume") -> float | None:
    found = month.frame.set_index("date")[column].get(pd.Timestamp(hour))
    return None if found is None or found != found else float(found)


def flags(month: ParsedMonth) -> list[pd.Timestamp]:
    """The hours that are flagged as not resolved."""
    flagged = month.frame["raw_data"].map(lambda detail: detail.get("flag") == "doubled_hour_unresolved")
    return list(month.frame["date"][flagged])
