"""What every provider owes, whichever it is: a module dropped into the package is held to it, with its own fixtures.

Belongs here: what holds for all of them, by their fixtures and over real HTTP. Does not: what one source's bytes mean.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from city_data.cities import load_registry
from city_data.datasets import DATASETS
from city_data.frames.canonical import canonical_frame
from city_data.operations.live_judgement import LiveFinding, judge
from city_data.payloads import file_sha256
from city_data.providers import discover
from city_data.providers.base import (
    CollectingProvider,
    NotAvailable,
    NotYetPublished,
    Payload,
    PermanentError,
    Provider,
    Settings,
    TransientError,
)
from city_data.providers.http import HttpClient, HttpSettings
from city_data.sandbox import Sandbox, running
from city_data.sandbox.base import discover as stand_ins
from city_data.window import Month, as_of
from city_data_tests.providers.cases import Case, cases
from city_data_tests.providers.wire import FIXTURES
from city_data_tests.sandbox.asking import AS_OF, StillClock, accounted

OUTCOMES = (TransientError, PermanentError, NotYetPublished, NotAvailable)

KEY = "canary-7d1e"
HTML = f"<!DOCTYPE html><html><body>Maintenance; your key was {KEY}</body></html>"
FAULTS: dict[str, dict[str, Any]] = {
    "401": {"status": 401, "body": f"no such key {KEY}"},
    "404": {"status": 404},
    "429": {"status": 429},
    "429 with Retry-After": {"status": 429, "headers": {"Retry-After": "7"}},
    "500": {"status": 500},
    "timeout": {"delay": 20},
    "empty body": {"body": ""},
    "HTML": {"body": HTML},
    "truncated": {"truncate": 0.5},
}
STOOD_IN_FOR = {host for source in stand_ins() for host in source.hosts}


@pytest.fixture(params=cases(FIXTURES), ids=lambda case: case.folder.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The sandbox of this file alone, at whatever moment `served` sets."""
    with running(tmp_path_factory.mktemp("contract"), as_of=AS_OF) as sandbox:
        yield sandbox


@pytest.fixture
def served(stand_in: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Without faults, before and after; every provider has a key."""
    for provider in discover().values():
        if provider.capabilities.key_variable:
            monkeypatch.setenv(provider.capabilities.key_variable, KEY)
    stand_in.faults.clear()
    yield stand_in
    stand_in.faults.clear()


def client(provider: Provider, sandbox: Sandbox, read_timeout: float = 0.3) -> HttpClient:
    """Every host that the provider declares is answered by the sandbox."""
    routes = {host: f"{sandbox.base_url}/{host}" for host in provider.capabilities.hosts}
    settings = HttpSettings(attempts=1, read_timeout=read_timeout)
    return HttpClient(provider.name, provider.capabilities, settings=settings, clock=StillClock(), routes=routes)


def asked(case: Case, http: HttpClient, into: Path) -> Sequence[Payload]:
    """What the source sends: a month, or a snapshot where it has the present alone."""
    if isinstance(case.provider, CollectingProvider):
        return [case.provider.poll(case.request, http, into).payload]
    return case.provider.fetch(case.request, http, into)


def tells_no_key(provider: Provider, text: str) -> bool:
    """The faults repeat the key; only those who sent one can strike it out."""
    return provider.capabilities.key_variable is None or KEY not in text


def order(sandbox: Sandbox, provider: Provider, fault: Mapping[str, Any]) -> None:
    """Every answer of every host of the provider goes wrong."""
    sandbox.faults.order(f"^/({'|'.join(map(re.escape, provider.capabilities.hosts))})/", **fault)


def test_capabilities_are_complete(case: Case) -> None:
    capabilities = case.provider.capabilities
    assert case.provider.name == type(case.provider).__module__.rpartition(".")[2]
    assert capabilities.columns
    assert set(capabilities.columns) <= set(DATASETS[capabilities.dataset].column_names)
    assert capabilities.resolution in ("hourly", "daily")
    ahead = DATASETS[capabilities.dataset].months_ahead
    assert timedelta(0) <= capabilities.lag < timedelta(days=60)
    assert capabilities.lag or ahead, "a month that has ended is not out at once, but for one that was out before"
    assert timedelta(0) < capabilities.settling < timedelta(days=400)
    limit = capabilities.rate_limit
    assert min(limit.calls, limit.seconds, limit.weight) > 0
    assert all(min(quota.calls, quota.seconds) > 0 for quota in limit.quotas)
    assert capabilities.forward_only == isinstance(case.provider, CollectingProvider)
    assert capabilities.earliest is None or capabilities.earliest < Month(2026, 11)
    assert capabilities.key_variable is None or re.fullmatch("[A-Z_]+_KEY|[A-Z_]+_TOKEN", capabilities.key_variable)
    assert len(capabilities.licence) > 10
    assert capabilities.licence_url.startswith("https://")
    assert capabilities.hosts
    assert all("/" not in host and host == host.lower() for host in capabilities.hosts)


def test_capabilities_give_the_meaning_of_every_column(case: Case) -> None:
    capabilities = case.provider.capabilities
    assert list(capabilities.meanings) == list(capabilities.columns)
    for meaning in capabilities.meanings.values():
        assert all((meaning.quantity, meaning.area, meaning.per, meaning.method))
        assert meaning.method_version >= 1
        assert not (meaning.comparable and capabilities.dataset == "traffic"), "cities count on different networks"


def test_unknown_settings_are_refused(case: Case) -> None:
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
    assert {*dataset.key, "source", *capabilities.columns} <= set(frame)
    key = pd.MultiIndex.from_frame(frame[list(dataset.key)])
    assert key.is_monotonic_increasing
    assert key.is_unique
    assert ((frame["date"] >= start) & (frame["date"] < end)).all()
    assert set(frame["source"]) == {case.provider.name}
    canonical = canonical_frame(frame, dataset)
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


def test_values_are_parsed_and_missing_ones_are_null(case: Case) -> None:
    frame, others = case.parse().frame, DATASETS[case.provider.capabilities.dataset].key[1:]
    assert case.told["values"]
    assert case.told["nulls"]
    for key, values in case.told["values"].items():
        for name, value in values.items():
            assert _of_key(frame, others, key)[name].item() == pytest.approx(value), (key, name)
    for key, names in case.told["nulls"].items():
        for name in names:
            row = _of_key(frame, others, key)[name]
            assert row.isna().all(), (key, name, row)


def _of_key(frame: pd.DataFrame, others: Sequence[str], key: str) -> pd.DataFrame:
    date, *values = key.split()
    for name, value in zip(others, values, strict=True):
        frame = frame[frame[name] == int(value)]
    return frame[frame["date"] == pd.Timestamp(date)]


@pytest.mark.parametrize("by", [-1, 1])
def test_row_belongs_to_exactly_one_month(case: Case, by: int) -> None:
    other = replace(case.request, month=case.request.month + by)
    dates = set(case.parse().frame["date"])
    with suppress(PermanentError):  # bytes that name their month are refused for another
        assert not set(case.provider.parse(other, case.payloads()).frame["date"]) & dates


def test_parse_is_pure_and_repeatable(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("parse used the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    before = {path.name: file_sha256(path) for path in case.folder.iterdir()}
    one, two = case.parse(), case.parse()
    pd.testing.assert_frame_equal(one.frame, two.frame)
    assert (one.rejected, one.provenance) == (two.rejected, two.provenance)
    assert {path.name: file_sha256(path) for path in case.folder.iterdir()} == before


def test_archived_payloads_are_the_same_month_whatever_their_paths(case: Case, tmp_path: Path) -> None:
    """The raw archive stores each file under the hash of its content, and keeps its name beside it."""
    archived = []
    for n, payload in enumerate(case.payloads()):
        path = tmp_path / f"{n}.bin"
        path.write_bytes(payload.path.read_bytes())
        archived.append(replace(payload, path=path))
    month = case.provider.parse(case.request, archived)
    pd.testing.assert_frame_equal(month.frame, case.parse().frame)


def test_sandbox_rows_are_marked(case: Case) -> None:
    assert set(case.parse("sandbox").frame["source"]) == {f"sandbox:{case.provider.name}"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_source_is_a_typed_outcome(case: Case, served: Sandbox, tmp_path: Path, fault: str) -> None:
    """Never a frame, and never the key: who, where, when, and what was found."""
    served.publication.clock = lambda: case.request.as_of
    order(served, case.provider, FAULTS[fault])
    http = client(case.provider, served)
    with pytest.raises(OUTCOMES) as caught:
        case.provider.parse(case.request, asked(case, http, tmp_path))
    for word in (case.provider.name, case.place.city_id, str(case.request.month)):
        assert word in str(caught.value)
    assert tells_no_key(case.provider, str(caught.value))
    assert served.faults.carried_out


@pytest.mark.parametrize("fault", FAULTS)
def test_connection_check_names_the_fault(case: Case, served: Sandbox, fault: str) -> None:
    order(served, case.provider, FAULTS[fault])
    with pytest.raises((TransientError, PermanentError)) as caught:
        case.provider.check_connection(client(case.provider, served))
    assert tells_no_key(case.provider, str(caught.value))


@pytest.mark.parametrize("name", [n for n, p in discover().items() if STOOD_IN_FOR & set(p.capabilities.hosts)])
def test_the_connection_check_works(served: Sandbox, name: str) -> None:
    provider = discover()[name]
    served.publication.clock = lambda: as_of()
    told = provider.check_connection(client(provider, served, read_timeout=10))
    assert told
    assert tells_no_key(provider, told)


def test_every_fixture_has_its_provider() -> None:
    assert {one.provider.name for one in cases(FIXTURES)} == set(discover())


def test_recorded_answer_is_as_its_parser_expects(case: Case) -> None:
    """A fixture that `city-data doctor --live --record` wrote of an answer that it did not expect has its `problem`."""
    if "problem" not in case.told:
        return
    finding = LiveFinding(case.provider.name)
    judge(case.provider, case.request, case.request, case.payloads(), case.parse(), None, finding)
    assert finding.problem is None
