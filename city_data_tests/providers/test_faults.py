"""Every fault of a source is a typed error that names the provider, place, month and cause."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from city_data.providers import discover
from city_data.providers.base import (
    NotAvailable,
    NotConfigured,
    NotYetPublished,
    PermanentError,
    ProviderError,
    TransientError,
)
from city_data.sandbox import Sandbox, running
from city_data.sandbox.openweather import UNSUBSCRIBED
from city_data_tests.providers.sources import facts_of, with_history
from city_data_tests.sandbox.asking import AS_OF, Asked

AEMET, OPEN_METEO, MADRID, OPENWEATHER = "aemet", "open_meteo", "madrid_opendata", "openweather"
BARCELONA, METEO_FRANCE, LYON = "barcelona_opendata", "meteo_france", "grandlyon_opendata"
NAMES = with_history()
MONTH = "2026-09"
# Where each source's data, not its catalogue or envelope, comes from.
DATA = {name: facts_of(name).data for name in NAMES}
FIRST = {name: facts_of(name).first_path for name in NAMES}
BAD = {name: bad for name in NAMES if (bad := facts_of(name).bad_values) is not None}
HTML = "<!DOCTYPE html><html><body><h1>Mantenimiento</h1></body></html>"
LIMIT = '{"error": true, "message": "API rate limit exceeded for 203.0.113.7", "descripcion": "rate limit exceeded"}'
REFUSALS: list[dict[str, Any]] = [
    {"status": 204, "body": ""},
    {"body": "429: Too Many Requests\nFor more on scraping, see the terms of service"},
    {"body": LIMIT},
    {"status": 403, "body": LIMIT},
]
NO_DATA = '{"descripcion": "No hay datos que satisfagan esos criterios", "estado": 404}'
TOO_LONG = '{"descripcion": "El rango de fechas no puede ser superior a 6 meses", "estado": 404}'


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("sandbox"), as_of=AS_OF, keys={"AEMET_API_KEY": "good"}) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(served: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    for provider in discover().values():
        if provider.capabilities.key_variable:
            monkeypatch.setenv(provider.capabilities.key_variable, "good")
    served.faults.clear()
    yield served
    served.faults.clear()


def outcome(asked: Asked, into: Path, kind: type[ProviderError] | tuple[type[ProviderError], ...]) -> ProviderError:
    """The outcome, which must name the provider, the city and the month."""
    with pytest.raises(kind) as caught:
        asked.month_of(into)
    for word in (asked.name, "madrid", asked.month):
        assert word in str(caught.value)
    assert "good" not in str(caught.value)  # the key
    return caught.value


_good: dict[tuple[Sandbox, str, str], pd.DataFrame] = {}


def good(sandbox: Sandbox, name: str, into: Path, month: str = MONTH) -> pd.DataFrame:
    """The month without a fault, fetched by the first test that compares with it."""
    if (sandbox, name, month) not in _good:
        _good[sandbox, name, month] = Asked(sandbox, name, month).month_of(into / "good").frame
    return _good[sandbox, name, month]


def test_wrong_key_is_a_permanent_error(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEMET_API_KEY", "wrong-canary")
    error = outcome(Asked(sandbox, AEMET, MONTH), tmp_path, PermanentError)
    assert "AEMET_API_KEY" in str(error)
    assert "canary" not in str(error)


def test_no_key(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AEMET_API_KEY")
    with pytest.raises(NotConfigured, match="AEMET_API_KEY"):
        Asked(sandbox, AEMET, MONTH).fetch(tmp_path)


def test_a_key_without_subscription(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENWEATHER_API_KEY", UNSUBSCRIBED)
    assert "subscription" in str(outcome(Asked(sandbox, OPENWEATHER, MONTH), tmp_path, PermanentError))


@pytest.mark.parametrize("status", [200, 404])
def test_no_data_is_a_normal_state(sandbox: Sandbox, tmp_path: Path, status: int) -> None:
    sandbox.faults.order("/diarios/", status=status, body=NO_DATA)
    outcome(Asked(sandbox, AEMET, "2026-11"), tmp_path / "open", NotYetPublished)
    outcome(Asked(sandbox, AEMET, "2024-12"), tmp_path / "old", NotAvailable)


@pytest.mark.parametrize("status", [200, 404])
def test_too_long_range_is_a_permanent_error(sandbox: Sandbox, tmp_path: Path, status: int) -> None:
    sandbox.faults.order("/diarios/", status=status, body=TOO_LONG)
    assert "rango de fechas" in str(outcome(Asked(sandbox, AEMET, MONTH), tmp_path, PermanentError))


@pytest.mark.parametrize("name", NAMES)
def test_too_many_calls(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    sandbox.faults.order(FIRST[name], status=429, headers={"Retry-After": "7"})
    asked = Asked(sandbox, name, MONTH)
    error = outcome(asked, tmp_path / "told", TransientError)
    assert isinstance(error, TransientError)
    assert error.retry_after == 7
    assert 7 in asked.clock.slept
    sandbox.faults.clear()
    sandbox.faults.order(FIRST[name], status=429)
    error = outcome(Asked(sandbox, name, MONTH), tmp_path / "untold", TransientError)
    assert isinstance(error, TransientError)
    assert error.retry_after == 60


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", [FIRST, DATA])
@pytest.mark.parametrize("status", [500, 503])
def test_server_errors(sandbox: Sandbox, tmp_path: Path, name: str, where: dict[str, str], status: int) -> None:
    sandbox.faults.order(where[name], status=status)
    assert str(status) in str(outcome(Asked(sandbox, name, MONTH), tmp_path, TransientError))


@pytest.mark.parametrize("name", NAMES)
def test_one_bad_answer_is_retried(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    expected = good(sandbox, name, tmp_path)
    sandbox.faults.order(DATA[name], status=503, times=1)
    pd.testing.assert_frame_equal(Asked(sandbox, name, MONTH).month_of(tmp_path).frame, expected)


@pytest.mark.parametrize("name", NAMES)
def test_timeout(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    sandbox.faults.order(DATA[name], delay=30)
    outcome(Asked(sandbox, name, MONTH, read_timeout=0.2), tmp_path, TransientError)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", [FIRST, DATA])
@pytest.mark.parametrize(("body", "said"), [("", "empty"), (HTML, "<!DOCTYPE html>")])
def test_no_data_at_all(
    sandbox: Sandbox, tmp_path: Path, name: str, where: dict[str, str], body: str, said: str
) -> None:
    sandbox.faults.order(where[name], body=body)
    error = outcome(Asked(sandbox, name, MONTH), tmp_path, (TransientError, PermanentError))
    assert said.lower() in str(error).lower()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("refusal", REFUSALS)
def test_refusal_under_any_status_is_a_passing_fault(
    sandbox: Sandbox, tmp_path: Path, name: str, refusal: dict[str, Any]
) -> None:
    """Nothing of it is archived as a month."""
    sandbox.faults.order(FIRST[name], **refusal)
    asked = Asked(sandbox, name, MONTH, attempts=1)
    with pytest.raises(TransientError) as caught:
        asked.fetch(tmp_path)
    assert all(word in str(caught.value) for word in (name, "madrid", MONTH))


@pytest.mark.parametrize("name", NAMES)
def test_truncated_body_is_typed(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    expected = good(sandbox, name, tmp_path)
    sandbox.faults.order(DATA[name], truncate=0.6)
    outcome(Asked(sandbox, name, MONTH), tmp_path / "always", TransientError)
    sandbox.faults.clear()
    sandbox.faults.order(DATA[name], truncate=0.6, times=1)
    pd.testing.assert_frame_equal(Asked(sandbox, name, MONTH).month_of(tmp_path / "once").frame, expected)


def test_zip_truncated_at_the_source_is_typed(sandbox: Sandbox, tmp_path: Path) -> None:
    payloads = Asked(sandbox, MADRID, MONTH).fetch(tmp_path)
    archive = next(payload for payload in payloads if payload.path.read_bytes()[:2] == b"PK")
    archive.path.write_bytes(archive.path.read_bytes()[:-2000])
    asked = Asked(sandbox, MADRID, MONTH)
    with pytest.raises(PermanentError) as caught:
        asked.provider.parse(asked.request, payloads)
    assert all(word in str(caught.value) for word in (MADRID, "madrid", MONTH))


def test_zip_of_another_month(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.faults.order(DATA[MADRID], month="2026-08")
    assert "08-2026.csv" in str(outcome(Asked(sandbox, MADRID, MONTH), tmp_path, PermanentError))


@pytest.mark.parametrize("name", NAMES)
def test_wrong_charset(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    sandbox.faults.order(DATA[name], charset="utf-16")
    outcome(Asked(sandbox, name, MONTH), tmp_path, (TransientError, PermanentError))


@pytest.mark.parametrize("name", [AEMET, OPEN_METEO, OPENWEATHER, METEO_FRANCE, LYON])
def test_a_byte_order_mark_changes_no_value(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    """Of any answer on the way: envelopes, catalogues and data."""
    expected = good(sandbox, name, tmp_path)
    sandbox.faults.order(".*", charset="utf-8-sig")
    pd.testing.assert_frame_equal(Asked(sandbox, name, MONTH).month_of(tmp_path).frame, expected)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        (OPEN_METEO, "temperature_2m"),
        (MADRID, "intensidad"),
        (MADRID, "fecha"),
        (BARCELONA, "estatActual"),
        (METEO_FRANCE, "AAAAMMJJHH"),
        (METEO_FRANCE, "T"),
        (LYON, "channel_id"),
    ],
)
def test_missing_column(sandbox: Sandbox, tmp_path: Path, name: str, column: str) -> None:
    sandbox.faults.order(DATA[name], without_column=column)
    assert column in str(outcome(Asked(sandbox, name, MONTH), tmp_path, PermanentError))


def test_missing_key_is_missing_data(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.faults.order(DATA[AEMET], without_column="hrMedia")
    frame = Asked(sandbox, AEMET, MONTH).month_of(tmp_path).frame
    assert frame["humidity"].isna().all()
    assert frame["temperature"].notna().all()


@pytest.mark.parametrize("name", BAD)
def test_extra_column_changes_no_value(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    expected = good(sandbox, name, tmp_path)
    sandbox.faults.order(DATA[name], extra_column="nuevo")
    frame = Asked(sandbox, name, MONTH).month_of(tmp_path).frame
    pd.testing.assert_frame_equal(frame.drop(columns="raw_data"), expected.drop(columns="raw_data"))


@pytest.mark.parametrize("name", BAD)
def test_nan_and_negative_values_are_never_published(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    sandbox.faults.order(DATA[name], **BAD[name])
    month = Asked(sandbox, name, MONTH).month_of(tmp_path)
    numbers = month.frame[
        [c for c in ("precipitation", "wind_speed", "traffic_volume", "pedestrian_count") if c in month.frame]
    ]
    assert not (numbers.astype(float) < 0).any().any()
    assert sum(month.nulled.values()) + sum(month.rejected.values()) > 0


@pytest.mark.parametrize("name", BAD)
def test_duplicate_rows_count_once(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    expected = good(sandbox, name, tmp_path)
    sandbox.faults.order(DATA[name], duplicates=True)
    month = Asked(sandbox, name, MONTH).month_of(tmp_path)
    pd.testing.assert_frame_equal(month.frame.drop(columns="raw_data"), expected.drop(columns="raw_data"))
    assert any("dup" in reason for reason, rows in month.rejected.items() if rows > 0)


def test_second_step_at_another_host_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.faults.order("/diarios/", datos_host="evil.example")
    assert "evil.example" in str(outcome(Asked(sandbox, AEMET, MONTH), tmp_path, PermanentError))


def test_redirect_to_another_host(sandbox: Sandbox, tmp_path: Path) -> None:
    there: dict[str, Any] = {"status": 302, "body": "", "headers": {"Location": "https://evil.example/x.zip"}}
    sandbox.faults.order(DATA[MADRID], **there)
    assert "evil.example" in str(outcome(Asked(sandbox, MADRID, MONTH), tmp_path, PermanentError))
