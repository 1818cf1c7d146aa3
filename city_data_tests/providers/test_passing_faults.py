"""Faults that pass and refusals with a window: transient at every source, and never taken for another cause."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from city_data.errors import ConfigurationError
from city_data.providers import discover
from city_data.providers.base import Quota, QuotaExceeded, RateLimit, SourceBlocked, TransientError
from city_data.providers.http import HttpClient
from city_data.providers.transport.response import Response, accept_ok
from city_data.sandbox import Sandbox, running
from city_data_tests.providers.wire import Answer, client, site
from city_data_tests.sandbox.asking import AS_OF, Asked

MONTH = "2026-09"
FIRST = {
    "aemet": "/diarios/",
    "open_meteo": "/v1/archive",
    "madrid_opendata": "package_show",
    "barcelona_opendata": "package_show",
    "openweather": "/history/",
    "meteo_france": "/datasets/",
}
HOUR, DAY = 3_600, 86_400
PAGE = "<!DOCTYPE html><html><head><title>Request Rejected</title></head><body>support ID: 1</body></html>"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("sandbox"), as_of=AS_OF) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(served: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    monkeypatch.setenv("AEMET_API_KEY", "good")
    monkeypatch.setenv("OPENWEATHER_API_KEY", "good")
    served.answered.clear()
    yield served
    served.faults.clear()


@dataclass
class Blocked:
    """A budget that records what it is told."""

    blocks: list[tuple[str, float]] = field(default_factory=list)

    def reserve(self, name: str, limit: RateLimit, patience: float) -> float:
        return 0.0

    def block(self, name: str, seconds: float) -> None:
        self.blocks.append((name, seconds))


@pytest.mark.parametrize(
    ("name", "path", "body"),
    [
        ("aemet", "/diarios/", '{"descripcion": "exito", "estado": 200, "datos": "https://opend'),
        ("aemet", "/opendata/sh/", '[ {\n  "fecha" : "2026-09-01",\n  "indicativo" : "31'),
        ("open_meteo", "/v1/archive", '{"latitude": 40.4, "longitude": -3.7, "hourly": {"time": ["2026-08-31T22:0'),
        ("madrid_opendata", "package_show", '{"success": true, "result": {"resources": [{"id": "a"'),
        ("barcelona_opendata", "package_show", '{"success": true, "result": {"resources": [{"id": "a"'),
        ("openweather", "/history/", '{"message": "Count: 168", "cod": "200", "list": [{"dt": 17'),
        ("meteo_france", "/datasets/", '{"resources": [{"title": "HOR_dep'),
    ],
)
def test_json_that_breaks_off_is_transient_and_heals(
    sandbox: Sandbox, tmp_path: Path, name: str, path: str, body: str
) -> None:
    sandbox.faults.order(path, body=body)
    with pytest.raises(TransientError, match=f"{name}: madrid {MONTH}"):
        Asked(sandbox, name, MONTH).fetch(tmp_path / "broken")
    sandbox.faults.clear()
    sandbox.faults.order(path, body=body, times=1)
    assert Asked(sandbox, name, MONTH).fetch(tmp_path / "healed")


@pytest.mark.parametrize(
    ("name", "body", "longest"),
    [
        (
            "open_meteo",
            '{"error":true,"reason":"Minutely API request limit exceeded. Please try again in one minute."}',
            60,
        ),
        (
            "open_meteo",
            '{"error":true,"reason":"Hourly API request limit exceeded. Please try again in the next hour."}',
            HOUR,
        ),
        ("open_meteo", '{"error":true,"reason":"Daily API request limit exceeded. Please try again tomorrow."}', DAY),
        (
            "openweather",
            '{"cod":429, "message":"Your account is temporary blocked due to exceeding of requests."}',
            DAY,
        ),
        (
            "aemet",
            '{"descripcion":"Límite de peticiones por minuto excedido. Espere al siguiente minuto.","estado":429}',
            60,
        ),
        (
            "aemet",
            '{"descripcion":"Límite diario de peticiones excedido. Vuelva a intentarlo mañana.","estado":429}',
            DAY,
        ),
    ],
)
def test_window_of_a_quota_is_read_from_the_answer_and_shared(
    sandbox: Sandbox, tmp_path: Path, name: str, body: str, longest: int
) -> None:
    sandbox.faults.order(FIRST[name], status=429, body=body)
    asked, budget = Asked(sandbox, name, MONTH), Blocked()
    provider = asked.provider
    http = HttpClient(name, provider.capabilities, budget, clock=asked.clock, routes=sandbox.routes)
    (tmp_path / "fetched").mkdir()
    with pytest.raises(QuotaExceeded) as caught:
        provider.fetch(asked.request, http, tmp_path / "fetched")
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= longest
    calls = sum(count for (path, status), count in sandbox.answered.items() if status == 429)
    if longest == 60:
        assert (caught.value.retry_after, budget.blocks) == (60, [])
    elif caught.value.retry_after > http.settings.longest_wait:
        assert calls == 1
        assert budget.blocks == [(name, caught.value.retry_after)]


def test_retry_after_counts_before_the_words(sandbox: Sandbox, tmp_path: Path) -> None:
    body = '{"error":true,"reason":"Daily API request limit exceeded. Please try again tomorrow."}'
    sandbox.faults.order("/v1/archive", status=429, body=body, headers={"Retry-After": "120"})
    with pytest.raises(QuotaExceeded) as caught:
        Asked(sandbox, "open_meteo", MONTH).fetch(tmp_path)
    assert caught.value.retry_after == 120


@pytest.mark.parametrize("name", sorted(FIRST))
def test_firewall_s_page_is_named_as_one_with_what_helps(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    sandbox.faults.order(FIRST[name], status=403, body=PAGE)
    with pytest.raises(SourceBlocked, match=r"a firewall in front of .*Request Rejected") as caught:
        Asked(sandbox, name, MONTH).fetch(tmp_path)
    assert "CITY_DATA_CONTACT" in str(caught.value)
    assert "API_KEY" not in str(caught.value)


def test_user_agent_names_the_operator_s_contact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITY_DATA_CONTACT", "ops@example.org")
    with site() as web:
        web.on("/a.example/data", Answer())
        client(web).get("https://a.example/data")
        assert web.calls[0].headers["user-agent"].endswith("; ops@example.org)")


def test_openweather_s_quota_is_that_of_its_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = discover()["openweather"]
    assert provider.rate_limit() == provider.capabilities.rate_limit
    monkeypatch.setenv("OPENWEATHER_CALLS_A_MINUTE", "3000")
    monkeypatch.setenv("OPENWEATHER_CALLS_A_DAY", "2000000")
    assert provider.rate_limit() == RateLimit(3_000, 60, quotas=(Quota(2_000_000, 86_400),))
    monkeypatch.setenv("OPENWEATHER_CALLS_A_DAY", "many")
    with pytest.raises(ConfigurationError, match="OPENWEATHER_CALLS_A_DAY"):
        provider.rate_limit()


def refusal(status: int, body: str, **headers: str) -> TransientError:
    """The outcome of an answer by the rules that hold for every source."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    with pytest.raises(TransientError) as caught:
        accept_ok(Response(status, named, "https://a.example/data", body.encode()))
    return caught.value


@pytest.mark.parametrize(
    ("text", "longest"),
    [
        ("Rate limit: 24 hours", DAY),
        ("Límit diari exhaurit. Torneu demà.", DAY),
        ("Quota journalier dépassé, réessayez demain", DAY),
        ("Limite giornaliero superato: riprovare domani", DAY),
        ("Tageslimit erreicht, bitte morgen wieder", DAY),
        ("Monthly quota exceeded", DAY),
        ("Ha superado el límite de peticiones por hora", HOUR),
        ("Quota horaire dépassé", HOUR),
        ("Límite de peticiones por minuto excedido", 60),
        ("slow down", 60),
    ],
)
def test_window_of_a_quota_is_read_in_the_sources_languages(text: str, longest: int) -> None:
    error = refusal(429, text)
    window = 60 if longest == 60 else longest
    assert isinstance(error, QuotaExceeded)
    assert error.retry_after == pytest.approx(window - (time.time() % window if window > 60 else 0), abs=5)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (lambda _: {"retry_after": "3600"}, 3_600),
        (lambda now: {"retry_after": email.utils.formatdate(now + 7_200, usegmt=True)}, 7_200),
        (lambda now: {"x_ratelimit_reset": str(int(now) + 1_800)}, 1_800),
        (lambda now: {"x_ratelimit_reset": str(int(now * 1_000) + 1_800_000)}, 1_800),
        (lambda _: {"ratelimit_reset": "900"}, 900),
        (lambda _: {"retry_after": "120", "x_ratelimit_reset": "900"}, 120),
        (lambda _: {"x_ratelimit_reset": "soon"}, 60),
    ],
    ids=["seconds", "date", "epoch", "epoch in ms", "until reset", "the first of two", "words"],
)
def test_end_of_a_quota_is_read_from_any_header_that_names_it(
    headers: Callable[[float], dict[str, str]], seconds: int
) -> None:
    assert refusal(429, "slow down", **headers(time.time())).retry_after == pytest.approx(seconds, abs=120)


@pytest.mark.parametrize("words", ["Down for maintenance", "En mantenimiento", "Site en maintenance", "Manteniment"])
def test_page_of_a_source_that_is_closed_is_no_firewall(words: str) -> None:
    error = refusal(503, f"<html><title>{words}</title></html>", retry_after="600")
    assert not isinstance(error, SourceBlocked)
    assert (error.retry_after, "is closed for a while" in str(error)) == (600, True)
    assert isinstance(refusal(503, "<html><title>Request blocked</title></html>"), SourceBlocked)
