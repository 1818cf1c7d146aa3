"""DPClim: orders that are polled and read once, keys, tokens, and the meaning of a 500."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from city_data.providers.base import NotAvailable, NotYetPublished, PermanentError, TransientError
from city_data.providers.meteo_france.lines import HOUR
from city_data.providers.meteo_france.orders import Access, order_number, stations_of
from city_data.providers.transport.response import Response
from city_data.sandbox import Sandbox, running
from city_data.sandbox.meteo_france import MeteoFrance
from city_data.window import Month
from city_data_tests.sandbox.asking import AS_OF, Asked

NAME, MONTH = "meteo_france", "2026-09"
KEYS = {"METEO_FRANCE_API_KEY": "canary-key", "METEO_FRANCE_APPLICATION_ID": "canary-app"}
API = "/public-api.meteofrance.fr/public/DPClim/v1"
ORDER, FILE, TOKEN = f"{API}/commande-station/horaire", f"{API}/commande/fichier", "/portail-api.meteofrance.fr/token"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("sandbox"), as_of=AS_OF, keys=KEYS) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(served: Sandbox) -> Iterator[Sandbox]:
    served.answered.clear()
    yield served
    served.faults.clear()
    served.publication.unpublished = set()


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METEO_FRANCE_API_KEY", "canary-key")


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METEO_FRANCE_APPLICATION_ID", "canary-app")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders are ready when first asked for."""
    monkeypatch.setattr(MeteoFrance, "polls", 0)


def test_order_is_polled_and_gives_the_same_hours_as_the_files(
    sandbox: Sandbox, tmp_path: Path, key: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MeteoFrance, "polls", 3)
    asked = Asked(sandbox, NAME, MONTH)
    (payload,) = asked.fetch(tmp_path / "order")
    month = asked.provider.parse(asked.request, [payload])
    assert asked.clock.slept == [2.0, 3.0, 4.5]
    assert (sandbox.answered[FILE, 204], sandbox.answered[FILE, 201]) == (3, 1)
    assert payload.path.read_bytes().startswith(b"POSTE;DATE;RR1;")
    assert b"\r\n75114001;2026083123;" in payload.path.read_bytes()
    assert payload.params["order"].isdecimal()
    assert "canary" not in str(payload)
    monkeypatch.delenv("METEO_FRANCE_API_KEY")
    files = Asked(sandbox, NAME, MONTH).month_of(tmp_path / "files")
    assert month.frame["date"].equals(files.frame["date"])
    doubtful = files.nulled.get("doubtful:T", 0)  # DPClim has no codes that would say so
    assert month.frame["temperature"].notna().sum() - files.frame["temperature"].notna().sum() == doubtful
    for column in ("precipitation", "humidity", "wind_speed", "pressure", "description"):
        pd.testing.assert_series_equal(month.frame[column], files.frame[column])


def test_file_lost_in_transit_is_ordered_again(sandbox: Sandbox, tmp_path: Path, key: None, at_once: None) -> None:
    sandbox.faults.order(FILE, truncate=0.5, times=1)
    frame = Asked(sandbox, NAME, MONTH).month_of(tmp_path).frame
    assert len(frame) > 700
    assert (sandbox.answered[ORDER, 202], sandbox.answered[FILE, 410], sandbox.answered[FILE, 201]) == (2, 1, 2)


def test_file_that_is_always_gone_is_a_typed_error(sandbox: Sandbox, tmp_path: Path, key: None) -> None:
    sandbox.faults.order(FILE, status=410)
    with pytest.raises(TransientError, match="3 orders were deleted"):
        Asked(sandbox, NAME, MONTH).fetch(tmp_path)


def test_order_that_is_never_ready_is_transient(
    sandbox: Sandbox, tmp_path: Path, key: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MeteoFrance, "polls", 10_000)
    asked = Asked(sandbox, NAME, MONTH)
    with pytest.raises(TransientError, match="not ready in 600 s"):
        asked.fetch(tmp_path)
    assert 600 <= asked.clock.now < 620
    assert max(asked.clock.slept) == 15


@pytest.mark.parametrize(("month", "kind"), [("2026-10", NotYetPublished), ("2026-03", NotAvailable)])
def test_no_data_is_a_normal_state(
    sandbox: Sandbox, tmp_path: Path, key: None, month: str, kind: type[Exception]
) -> None:
    sandbox.publication.unpublished = {Month.parse(month)}
    with pytest.raises(kind, match=f"paris|madrid {month}: station 75114001: .*production en échec"):
        Asked(sandbox, NAME, month).fetch(tmp_path)


@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
@pytest.mark.parametrize("said", ["la station ne contient pas de donnée", "échec: ne contient pas de donn\u00e9es"])
@pytest.mark.parametrize("where", [ORDER, FILE])
def test_no_data_in_another_wording_is_recognised(
    sandbox: Sandbox, tmp_path: Path, key: None, where: str, said: str, charset: str
) -> None:
    sandbox.faults.order(where, status=500, body=said, charset=charset)
    with pytest.raises(NotAvailable):
        Asked(sandbox, NAME, "2026-03").fetch(tmp_path)


def test_range_with_a_gap_is_halved_and_loses_only_the_gap_s_day(
    sandbox: Sandbox, tmp_path: Path, key: None, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Asked(sandbox, NAME, MONTH).month_of(tmp_path / "whole").frame["date"]
    gap = datetime(2026, 9, 10, 5, tzinfo=UTC), datetime(2026, 9, 10, 7, tzinfo=UTC)
    monkeypatch.setattr(MeteoFrance, "gap", gap)
    sandbox.answered.clear()
    kept = set(Asked(sandbox, NAME, MONTH).month_of(tmp_path / "halved").frame["date"])
    lost = sorted(set(whole) - kept)
    assert kept < set(whole)
    assert len(lost) <= 24
    assert lost[0] <= gap[0] - HOUR
    assert lost[-1] >= gap[1] - HOUR
    assert sandbox.answered[ORDER, 202] + sandbox.answered[ORDER, 500] <= 12


@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
@pytest.mark.parametrize(
    "said",
    [
        "production en échec",
        "production terminée, échec",
        "la commande contient une plage d'absence de données",
        r"production en \u00e9chec",
    ],
)
@pytest.mark.parametrize("where", [ORDER, FILE])
def test_month_whose_every_order_fails_is_transient_in_a_bounded_number_of_orders(
    sandbox: Sandbox, tmp_path: Path, key: None, at_once: None, where: str, said: str, charset: str
) -> None:
    sandbox.faults.order(where, status=500, body=said, charset=charset)
    with pytest.raises(TransientError, match="orders"):
        Asked(sandbox, NAME, "2026-03").fetch(tmp_path)
    assert sandbox.answered[where, 500] <= 40


@pytest.mark.parametrize("where", [ORDER, FILE])
@pytest.mark.parametrize("status", [500, 502])
def test_other_server_errors_are_transient(
    sandbox: Sandbox, tmp_path: Path, key: None, where: str, status: int
) -> None:
    sandbox.faults.order(where, status=status, body="Runtime Error")
    with pytest.raises(TransientError, match=str(status)):
        Asked(sandbox, NAME, MONTH).fetch(tmp_path)


@pytest.mark.parametrize("where", [ORDER, FILE])
@pytest.mark.parametrize(
    ("body", "said"), [("", "empty body"), ("<html>Maintenance</html>", "answered an HTML page: <html>")]
)
def test_malformed_answers_are_typed(
    sandbox: Sandbox, tmp_path: Path, key: None, where: str, body: str, said: str
) -> None:
    sandbox.faults.order(where, body=body)
    with pytest.raises(TransientError, match=said):
        Asked(sandbox, NAME, MONTH).fetch(tmp_path)


def test_too_many_calls(sandbox: Sandbox, tmp_path: Path, key: None) -> None:
    sandbox.faults.order(ORDER, status=429)
    with pytest.raises(TransientError) as caught:
        Asked(sandbox, NAME, MONTH).fetch(tmp_path)
    assert caught.value.retry_after == 60


def test_unknown_station_is_a_typed_error(sandbox: Sandbox, tmp_path: Path, key: None) -> None:
    asked = Asked(sandbox, NAME, MONTH)
    settings = asked.provider.settings_model(department="75", stations=["75999999"])
    request = type(asked.request)(asked.request.location, asked.request.month, settings, AS_OF)
    with pytest.raises(PermanentError, match="400"):
        asked.provider.fetch(request, asked.http, tmp_path)


def test_an_expired_token_is_renewed(sandbox: Sandbox, tmp_path: Path, application: None, at_once: None) -> None:
    sandbox.faults.order(FILE, status=401, body='{"code": "900901", "description": "Invalid JWT token"}', times=1)
    assert len(Asked(sandbox, NAME, MONTH).month_of(tmp_path).frame) > 700
    assert (sandbox.answered[TOKEN, 200], sandbox.answered[ORDER, 202]) == (2, 1)


def test_token_is_reused_for_an_hour(sandbox: Sandbox, tmp_path: Path) -> None:
    asked, access, clock = Asked(sandbox, NAME, MONTH), Access(None, "canary-app"), sandbox.publication.clock
    try:
        for hours, tokens in ((0, 1), (0, 1), (2, 2)):
            sandbox.publication.clock = lambda hours=hours: AS_OF + timedelta(hours=hours)
            assert stations_of(access, asked.http, "75") == 1
            assert sandbox.answered[TOKEN, 200] == tokens
    finally:
        sandbox.publication.clock = clock


@pytest.mark.parametrize("name", list(KEYS))
def test_refused_credentials_name_the_variable_and_no_secret(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "canary-wrong")
    with pytest.raises(PermanentError, match=f"check {name}") as caught:
        Asked(sandbox, NAME, MONTH).fetch(tmp_path)
    assert "canary" not in str(caught.value)


def test_token_refused_at_once_is_a_permanent_error(sandbox: Sandbox, tmp_path: Path, application: None) -> None:
    sandbox.faults.order(ORDER, status=401)
    with pytest.raises(PermanentError, match="a new token was refused"):
        Asked(sandbox, NAME, MONTH).fetch(tmp_path)


def test_unsubscribed_product_is_a_permanent_error(sandbox: Sandbox, tmp_path: Path, key: None) -> None:
    sandbox.faults.order(ORDER, status=403)
    with pytest.raises(PermanentError, match="subscribe it to DPClim"):
        Asked(sandbox, NAME, MONTH).fetch(tmp_path)


def test_connection_check_works_with_a_key(sandbox: Sandbox, key: None) -> None:
    asked = Asked(sandbox, NAME, MONTH)
    assert "accepts the key" in asked.provider.check_connection(asked.http)


def test_recorded_order_is_read(recorded: Path) -> None:
    body = (recorded / "meteofrance" / "dpclim_commande_202.json").read_bytes()
    assert order_number(Response(202, {}, "https://example.org/", body)) == "2026024266715"
    with pytest.raises(PermanentError, match="lacks the order number"):
        order_number(Response(202, {}, "https://example.org/", b'{"elaboreProduitAvecDemandeResponse": {}}'))
