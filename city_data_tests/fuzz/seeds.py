"""Months that the fuzzer begins with: every fixture, every layout of Madrid's, every recorded payload of a provider.

Belongs here: payloads as bytes, with the request that they answer as far as they do. Does not: how they are changed
(mutations.py), or what must come of them (judging.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from city_data.providers import discover
from city_data.providers.base import Location, Payload, Provider, Request
from city_data.window import Month
from city_data_tests.oracles.months import barcelona_opendata as barcelona_months
from city_data_tests.oracles.months import madrid_opendata as madrid_months
from city_data_tests.oracles.received import Received
from city_data_tests.providers.cases import Case, cases
from city_data_tests.providers.sources import Question, facts_of
from city_data_tests.providers.wire import FIXTURES, RECORDED

_MONTH = re.compile(r"(?P<year>20[0-3]\d)-(?P<month>0[1-9]|1[0-2])")
_MOST_BYTES = 300_000  # a larger file is cut to whole lines: thousands of cases are to be had in minutes


@dataclass(frozen=True)
class Seed:
    """A provider's payloads and what was asked for."""

    name: str
    provider: Provider
    request: Request
    payloads: tuple[Received, ...]


def seeds_of(provider: str) -> list[Seed]:
    """In the order of their names."""
    made = discover()[provider]
    fixture = Case(made, FIXTURES / provider)
    found = [
        Seed(case.folder.name.replace(provider, "fixture"), made, case.request, tuple(map(_received, case.payloads())))
        for case in cases(FIXTURES)
        if case.provider is made
    ]
    if provider == "madrid_opendata":
        found += list(_madrid_layouts(made, fixture.request))
    if provider == "barcelona_opendata":
        found += list(_barcelona_rows(made, fixture.request))
    if provider == "grandlyon_opendata":
        found += list(_lyon_examples(made, fixture.request))
    if provider == "openholidays":
        found += list(_school_files(made, fixture))
    if RECORDED.is_dir():
        found += list(_recorded(made, fixture.request))
    return found


def _received(payload: Payload) -> Received:
    return Received.of(payload.name, payload.path.read_bytes())


def _madrid_layouts(provider: Provider, request: Request) -> Iterator[Seed]:
    """The layouts through the years, and the recorded heads of 33 months."""
    for path in sorted((FIXTURES / provider.name).glob("*.csv")):
        yield _madrid(provider, request, path.stem, path.read_bytes())
    heads = RECORDED / "madrid" / "historico_heads_2015-2019.json"
    for head in json.loads(heads.read_bytes())["months"] if heads.is_file() else []:
        separator = head["separator_used"]
        text = "\n".join(separator.join(line) for line in (head["columns"], *head["rows"])) + "\n"
        year, month = head["month"].split("-")
        yield _madrid(provider, request, f"{month}-{year}", text.encode())


def _madrid(provider: Provider, request: Request, stem: str, csv: bytes) -> Seed:
    number, year = stem.split("-")
    body = Received.of(f"{stem}.zip", madrid_months.zipped(csv, int(year), int(number)))
    return Seed(f"layout of {stem}", provider, replace(request, month=Month(int(year), int(number))), (body,))


def _barcelona_rows(provider: Provider, request: Request) -> Iterator[Seed]:
    """The few recorded rows of months of states, each as the city's file."""
    told = RECORDED / "barcelona" / "trams_observed_rows.json"
    for quoted in json.loads(told.read_bytes())["rows"] if told.is_file() else []:
        rows = [[str(cell) for cell in row] for row in quoted["values"]]
        month = Month(int(rows[0][1][:4]), int(rows[0][1][4:6]))
        body = Received.of("TRAMS_TRAMS.csv", barcelona_months.file(rows))
        yield Seed(f"rows of {month}", provider, replace(request, month=month), (body,))


def _lyon_examples(provider: Provider, request: Request) -> Iterator[Seed]:
    """The national schema's own channels with their measures, and the recorded channels of Lyon with the fixture's."""
    pairs = {
        Month(2021, 9): (*(f"schema_{kind}_exemple-valide-eco-compteur.csv" for kind in ("channel", "measure")),),
        request.month: ("channels_2026-04.REEXPORTED.csv",),
    }
    pages = [_received(payload) for payload in Case(provider, FIXTURES / provider.name).payloads()[1:]]
    for month, names in pairs.items():
        paths = [RECORDED / "lyon" / name for name in names]
        if all(path.is_file() for path in paths):
            bodies = [Received.of(path.name, path.read_bytes()) for path in paths]
            payloads = (*bodies, *(pages if month == request.month else ()))
            yield Seed(f"schema of {month}", provider, replace(request, month=month), payloads)


def _school_files(provider: Provider, fixture: Case) -> Iterator[Seed]:
    """The recorded files of school vacations, each beside the fixture's days."""
    days = _received(fixture.payloads()[0])
    for path in sorted((RECORDED / "openholidays").glob("*_school*.csv")):
        asked = _asked(provider, fixture.request, path.name)
        yield Seed(f"days and {path.name}", provider, asked, (days, Received.of(path.name, path.read_bytes())))


def _recorded(provider: Provider, request: Request) -> Iterator[Seed]:
    for path in sorted((RECORDED / facts_of(provider.name).recorded).glob("*")):
        if path.name == "NOTES.md" or path.name.startswith("historico_heads"):
            continue
        asked = _asked(provider, request, path.name)
        body = path.read_bytes()
        if len(body) > _MOST_BYTES:
            body = body[: body.rindex(b"\n", 0, _MOST_BYTES) + 1] if b"\n" in body[:_MOST_BYTES] else body[:_MOST_BYTES]
        if provider.name == "madrid_opendata" and path.suffix == ".csv":
            body = madrid_months.zipped(body, asked.month.year, asked.month.month)
        name = "20260901T100000Z.json" if provider.name == "valencia_opendata" else path.name
        yield Seed(path.name, provider, asked, (Received.of(name, body),))


def _asked(provider: Provider, request: Request, name: str) -> Request:
    """The fixture's request, with the file's own month, settings and, where it tells one, location."""
    swapped = re.search(r"_(?P<month>\d\d)-(?P<year>20\d\d)_", name)
    match = swapped or _MONTH.search(name)
    month = Month(int(match["year"]), int(match["month"])) if match else request.month
    settings, question = request.settings, facts_of(provider.name).questions.get(name, Question())
    if question.month is not None:
        month = Month.parse(question.month)
    if question.settings is not None:
        settings = provider.settings_model.model_validate(question.settings)
    return replace(request, month=month, settings=settings, location=_location(request.location, name))


def _location(location: Location, name: str) -> Location:
    path: Path = RECORDED / "openmeteo" / name
    if not path.is_file() or path.suffix != ".json":
        return location
    document = json.loads(path.read_bytes())
    if not isinstance(document, dict) or "latitude" not in document:
        return location
    return replace(location, latitude=float(document["latitude"]), longitude=float(document["longitude"]))
