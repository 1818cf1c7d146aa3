"""What every provider owes, whichever it is: a module dropped into the package is held to it, with its own fixtures."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from city_data import frames
from city_data.cities import load_registry
from city_data.datasets import DATASETS
from city_data.providers import discover
from city_data.providers.base import ParsedMonth, Payload, Place, Provider, Request, Settings
from city_data.providers.http import file_sha256
from city_data.window import Month
from city_data_tests.providers.wire import FIXTURES
from city_data_tests.sandbox.asking import accounted

MADRID = {"city_id": "madrid", "latitude": 40.4168, "longitude": -3.7038, "timezone": "Europe/Madrid"}


@dataclass(frozen=True)
class Case:
    """A provider's fixture: `request.json` tells the request (of Madrid, where it names no `place`), the payload files,
    and some values that must come out."""

    provider: Provider
    told: dict[str, Any]

    @property
    def place(self) -> Place:
        return Place(**self.told.get("place", MADRID))

    @property
    def request(self) -> Request:
        settings = self.provider.settings_model.model_validate(self.told["settings"])
        as_of = datetime.fromisoformat(self.told["as_of"])
        return Request(self.place, Month.parse(self.told["month"]), settings, as_of)

    def payloads(self, origin: str | None = None) -> list[Payload]:
        folder = FIXTURES / self.provider.name
        return [Payload(name, folder / name, "https://example.org/", origin=origin) for name in self.told["payloads"]]

    def parse(self, origin: str | None = None) -> ParsedMonth:
        return self.provider.parse(self.request, self.payloads(origin))


@pytest.fixture(params=sorted(discover()))
def case(request: pytest.FixtureRequest) -> Case:
    told = FIXTURES / request.param / "request.json"
    assert told.is_file(), f"a provider needs fixtures: there is no {told.relative_to(FIXTURES.parents[1])}"
    return Case(discover()[request.param], json.loads(told.read_bytes()))


def test_capabilities_are_complete(case: Case) -> None:
    capabilities = case.provider.capabilities
    assert case.provider.name == type(case.provider).__module__.rpartition(".")[2]
    assert capabilities.columns
    assert set(capabilities.columns) <= set(DATASETS[capabilities.dataset].column_names)
    assert capabilities.resolution in ("hourly", "daily")
    assert timedelta(0) < capabilities.lag < timedelta(days=60)
    assert timedelta(0) < capabilities.settling < timedelta(days=400)
    assert capabilities.rate_limit.calls > 0
    assert capabilities.rate_limit.seconds > 0
    assert len(capabilities.licence) > 10
    assert capabilities.licence_url.startswith("https://")
    assert capabilities.hosts
    assert all("/" not in host and host == host.lower() for host in capabilities.hosts)


def test_settings_refuse_what_they_do_not_know(case: Case) -> None:
    model = case.provider.settings_model
    assert issubclass(model, Settings)
    with pytest.raises(ValueError, match="unknown_setting"):
        model.model_validate({**case.told["settings"], "unknown_setting": 1})


def test_the_registry_s_settings_are_valid(case: Case) -> None:
    dataset = case.provider.capabilities.dataset
    sources = [source for city in load_registry().all() if (source := city.source(dataset)) is not None]
    named = [one for source in sources for one in (source, source.fallback) if one is not None]
    for source in named:
        if source.provider == case.provider.name:
            assert case.provider.settings_model.model_validate(dict(source.settings))


def test_a_frame_is_canonical(case: Case) -> None:
    month = case.parse()
    capabilities = case.provider.capabilities
    dataset, frame = DATASETS[capabilities.dataset], month.frame
    start, end = case.request.month.bounds(case.place.timezone)
    assert len(frame) == case.told["rows"]
    assert set(frame) <= set(dataset.frame_columns)
    assert {"date", "source", *capabilities.columns} <= set(frame)
    assert frame["date"].is_monotonic_increasing
    assert frame["date"].is_unique
    assert ((frame["date"] >= start) & (frame["date"] < end)).all()
    assert set(frame["source"]) == {case.provider.name}
    canonical = frames.canonical(frame, dataset)
    for column in dataset.columns:
        values = canonical[column.name].dropna()
        if column.kind == "number":
            assert values.between(column.low, column.high).all(), column.name
        elif column.allowed:
            assert set(values) <= set(column.allowed)
        assert column.name in capabilities.columns or values.empty
    assert all(isinstance(detail, dict) for detail in frame["raw_data"])
    assert json.dumps(dict(month.provenance), allow_nan=False)
    assert month.rejected == case.told["rejected"]


def test_every_row_received_is_used_or_rejected_under_one_reason(case: Case) -> None:
    month = accounted(case.parse())
    assert month.received > 0
    assert month.received == case.told["received"], "the provider's own rows in the fixture, counted by hand"
    assert all(count > 0 for count in (*month.rejected.values(), *month.nulled.values()))
    assert month.fields
    assert not {reason for reason in month.rejected if ":" in reason}, "values, not rows: they belong in `nulled`"


def test_values_come_out_and_missing_ones_are_null(case: Case) -> None:
    frame = case.parse().frame.set_index("date")
    assert case.told["values"]
    assert case.told["nulls"]
    for date, values in case.told["values"].items():
        for name, value in values.items():
            assert frame.loc[pd.Timestamp(date), name] == pytest.approx(value), (date, name)
    for date, names in case.told["nulls"].items():
        for name in names:
            row = frame.loc[frame.index == pd.Timestamp(date), name]
            assert row.isna().all(), (date, name, row)


def test_parse_is_pure_and_repeatable(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("parse used the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    folder = FIXTURES / case.provider.name
    before = {path.name: file_sha256(path) for path in folder.iterdir()}
    one, two = case.parse(), case.parse()
    pd.testing.assert_frame_equal(one.frame, two.frame)
    assert (one.rejected, one.provenance) == (two.rejected, two.provenance)
    assert {path.name: file_sha256(path) for path in folder.iterdir()} == before


def test_rows_from_a_stand_in_say_so(case: Case) -> None:
    assert set(case.parse("sandbox").frame["source"]) == {f"sandbox:{case.provider.name}"}


def test_every_fixture_has_its_provider() -> None:
    assert {path.name for path in FIXTURES.iterdir() if (path / "request.json").is_file()} == set(discover())
