"""OpenHolidays' month from the document of days and the file of school vacations: each day looked at alone."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from datetime import date
from typing import Any

from city_data_tests.oracles.plain import CannotTell, json_of, midnight

AROUND = ("days_to_holiday", "days_since_holiday", "is_bridge_day")
LEVELS = ("public", "country", "region", "town")
MARKS = ("EndOfLessons", "BackToSchool")
Row = dict[str, Any]


def month(payloads: Sequence[bytes], request: Any) -> dict[Any, Row]:
    try:
        return {
            midnight(date.fromisoformat(row["date"]), request.location.timezone): row
            for row in _rows(payloads, request)
        }
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise CannotTell(str(error)) from error


def _rows(payloads: Sequence[bytes], request: Any) -> list[Row]:
    (document,) = (json_of(bytes(body), "utf-8") for body in payloads if body.name.endswith(".json"))  # type: ignore[attr-defined]
    lines = None
    if request.settings.school_file is not None:
        (body,) = (body for body in payloads if body.name.endswith(".csv"))  # type: ignore[attr-defined]
        lines = _lines(bytes(body).decode("utf-8-sig"), request.settings)
    return [_day(entry, lines) for entry in document["days"]]


def _day(entry: Row, lines: list[tuple[date, date, str | None]] | None) -> Row:
    day = date.fromisoformat(entry["date"])
    row: Row = {name: entry[name] for name in AROUND} | {
        "date": entry["date"],
        "weekday": float((day.toordinal() - 1) % 7),
        "is_weekend": entry["is_weekend"],
    }
    for level in LEVELS:
        row[f"{level}_holiday"] = entry[level]["name"]
        row[f"{level}_holiday_known"] = entry[level]["is_known"]
    names = [name for first, last, name in lines or () if first <= day <= last and name is not None]
    inside = any(first <= day <= last for first, last, _ in lines or ())
    ended = [last for _, last, _ in lines or () if last < day]
    to_come = [first for first, _, _ in lines or () if first > day]
    if not inside and (not ended or not to_come or (min(to_come) - max(ended)).days > 150):
        return row | {"school_vacation": None, "school_free": None}
    vacation = "; ".join(dict.fromkeys(names)) or entry["school_vacation"]
    return row | {"school_vacation": vacation, "school_free": vacation is not None}


def _lines(text: str, settings: Any) -> list[tuple[date, date, str | None]]:
    told = []
    for row in csv.DictReader(text.splitlines(keepends=True), delimiter=";"):
        if settings.subdivision is not None and settings.subdivision not in row["Subdivisions"].split(","):
            continue
        comment = row.get("Comment") or ""
        if settings.pupils is not None and comment.strip() and settings.pupils not in comment:
            continue
        if row["Type"] != "School" and row["Type"] not in MARKS:
            continue
        name = re.split(",(?=[A-Z][A-Z] )", row["Name"])[0][3:].replace("%2C", ",")
        first = date.fromisoformat(row["StartDate"])
        last = date.fromisoformat(row["EndDate"]) if row["EndDate"] else first
        told.append((first, last, name if row["Type"] == "School" else None))
    return sorted(told, key=lambda line: (line[0], line[1], line[2] or ""))
