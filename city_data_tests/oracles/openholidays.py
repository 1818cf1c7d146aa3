"""OpenHolidays' month from the document of days and the file of school vacations: each day looked at alone."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from city_data_tests.oracles.plain import CannotTell, json_of, midnight

AROUND = ("days_to_holiday", "days_since_holiday", "is_bridge_day")
LEVELS = ("public", "country", "region", "town")
TYPES = ("School", "EndOfLessons", "BackToSchool")
TERM, VACATION = timedelta(days=150), timedelta(days=120)
Row = dict[str, Any]


def month(payloads: Sequence[bytes], request: Any) -> dict[Any, Row]:
    try:
        return {
            midnight(date.fromisoformat(row["date"]), request.location.timezone): row
            for row in _rows(payloads, request)
        }
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise CannotTell(str(error)) from error


@dataclass
class _Line:
    """Where the dates are wrong, `days` are None and `doubtful` the stretches that they may be about."""

    type: str
    name: str | None
    days: tuple[date, date] | None
    doubtful: list[tuple[date, date]]


def _rows(payloads: Sequence[bytes], request: Any) -> list[Row]:
    (document,) = (json_of(bytes(body), "utf-8") for body in payloads if body.name.endswith(".json"))  # type: ignore[attr-defined]
    lines, settings = None, request.settings
    if settings.school_file is not None:
        (body,) = (body for body in payloads if body.name.endswith(".csv"))  # type: ignore[attr-defined]
        lines = _lines(bytes(body).decode("utf-8-sig"), settings)
    rows = [_day(entry, lines) for entry in document["days"]]
    if settings.unlisted:
        for row in rows:
            if row["school_free"] is False and settings.unlisted[0] <= row["date"][5:] <= settings.unlisted[1]:
                row["school_free"] = None
    return rows


def _day(entry: Row, lines: list[_Line] | None) -> Row:
    day = date.fromisoformat(entry["date"])
    row: Row = {name: entry[name] for name in AROUND} | {
        "date": entry["date"],
        "weekday": float((day.toordinal() - 1) % 7),
        "is_weekend": entry["is_weekend"],
    }
    for level in LEVELS:
        row[f"{level}_holiday"] = entry[level]["name"]
        row[f"{level}_holiday_known"] = entry[level]["is_known"]
    here = [line for line in lines or () if line.days and line.days[0] <= day <= line.days[1]]
    free = [line for line in here if line.type == "School"]
    if free:
        names = dict.fromkeys(line.name for line in free if line.name is not None)
        return row | {"school_vacation": "; ".join(names) or None, "school_free": True}
    is_doubtful = any(first <= day <= last for line in lines or () for first, last in line.doubtful)
    if lines is None or is_doubtful or not (here or _is_in_a_term(day, lines)):
        return row | {"school_vacation": None, "school_free": None}
    vacation = entry["school_vacation"]
    return row | {"school_vacation": vacation, "school_free": vacation is not None}


def _is_in_a_term(day: date, lines: list[_Line]) -> bool:
    before = [(line.days[1], line.days[0], line.type) for line in lines if line.days and line.days[1] < day]
    after = [(line.days[0], line.days[1], line.type) for line in lines if line.days and line.days[0] > day]
    if not before or not after:
        return False
    ended = max(last for last, _, _ in before)
    begins = min(first for first, _, _ in after)
    # Of several lines that end, or begin, on the same day, the first by all of its cells counts.
    last_kind = min((first, kind) for last, first, kind in before if last == ended)[1]
    next_kind = min((last, kind) for first, last, kind in after if first == begins)[1]
    return last_kind != "EndOfLessons" and next_kind != "BackToSchool" and begins - ended <= TERM


def _lines(text: str, settings: Any) -> list[_Line]:
    head, *rows = csv.reader(text.splitlines(keepends=True), delimiter=";")
    names = {name.strip().lower(): place for place, name in enumerate(head)}
    told = []
    for cells in (row for row in rows if any(cell.strip() for cell in row)):

        def cell(name: str, cells: list[str] = cells) -> str:
            return cells[names[name]].strip() if name in names else ""

        codes = [code.strip() for code in cell("subdivisions").split(",") if code.strip()]
        is_of_others = [
            cell("country") != settings.school_file[:2].upper(),
            settings.subdivision is not None and codes and not set(codes) & _parents(settings.subdivision),
            cell("regionalscope") == "Local",
            settings.group is not None
            and cell("groups")
            and settings.group not in re.split(r"\s*,\s*", cell("groups")),
            settings.pupils is not None and cell("comment") and settings.pupils not in cell("comment"),
            cell("type") not in TYPES,
        ]
        if not any(is_of_others):
            told.append(_line(cell("startdate"), cell("enddate") or cell("startdate"), cell("type"), cell("name")))
    return sorted(told, key=lambda line: (line.days or (date.max, date.max), line.type, line.name or ""))


def _parents(code: str) -> set[str]:
    parts = code.split("-")
    return {"-".join(parts[: place + 1]) for place in range(len(parts))}


def _line(start: str, end: str, kind: str, text: str) -> _Line:
    first, last = (
        date.fromisoformat(day) if re.fullmatch(r"[12]\d{3}-\d\d-\d\d", day) else None for day in (start, end)
    )
    name = re.split(",(?=[A-Z][A-Z] )", text)[0]
    told = (
        name[3:].replace("%2C", ",") if re.fullmatch(r"[A-Z][A-Z] [^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*", name) else None
    )
    if first and last and first <= last <= first + VACATION:
        return _Line(kind, told, (first, last), [])
    doubtful = [(first, first + VACATION)] if first else []
    doubtful += [(last - VACATION, last)] if last else []
    doubtful += [(last, first)] if first and last and last < first <= last + VACATION else []
    return _Line(kind, told, None, doubtful)
