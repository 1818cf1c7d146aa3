"""Answers that no well-meant source sends end in a typed outcome, soon, and in words that can be stored."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from city_data.providers import discover
from city_data.providers.aemet import AemetSettings
from city_data.providers.base import (
    ParsedMonth,
    Payload,
    PermanentError,
    Place,
    ProviderError,
    Request,
    Settings,
    TransientError,
)
from city_data.providers.http import HttpClient, HttpSettings
from city_data.providers.meteo_france import MeteoFranceSettings
from city_data.providers.transport.documents import read_json
from city_data.providers.transport.response import retry_after
from city_data.texts import all_printable, printable
from city_data.window import Month
from city_data_tests.providers.wire import Answer, Site, client
from city_data_tests.sandbox.asking import AS_OF, MADRID, StillClock

URL, PATH = "https://a.example/data", "/a.example/data"
DEEP = 200_000
SETTINGS: dict[str, Settings] = {
    "aemet": AemetSettings(stations=("3195",)),
    "open_meteo": Settings(),
    "openweather": Settings(),
    "meteo_france": MeteoFranceSettings(department="75", stations=("75114001",)),
}
# Where the first answer comes from, and one whose shape invites a parser to look inside.
DOCUMENTS = {
    "aemet": ("/opendata.aemet.es/", b'[{"fecha": %s}]'),
    "open_meteo": ("/archive-api.open-meteo.com/", b'{"hourly": %s}'),
    "openweather": ("/history.openweathermap.org/", b'{"cod": "200", "cnt": 1, "list": [%s]}'),
    "meteo_france": ("/www.data.gouv.fr/", b'{"resources": [%s]}'),
}


def request_of(name: str) -> Request:
    place = Place("paris", 48.8566, 2.3522, "Europe/Paris") if name == "meteo_france" else MADRID
    return Request(place, Month(2026, 9), SETTINGS[name], AS_OF)


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEMET_API_KEY", "good")
    monkeypatch.setenv("OPENWEATHER_API_KEY", "good")


def asked(name: str, web: Site, into: Path) -> ParsedMonth:
    """The month, fetched from the scripted server."""
    provider, request = discover()[name], request_of(name)
    routes = {host: f"{web.url}/{host}" for host in provider.capabilities.hosts}
    settings = HttpSettings(attempts=1)
    http = HttpClient(name, provider.capabilities, settings=settings, clock=StillClock(), routes=routes)
    return provider.parse(request, provider.fetch(request, http, into))


class _Everywhere(dict[str, list[Answer]]):
    """The same answer on every path."""

    def __missing__(self, path: str) -> list[Answer]:
        return self["*"]


def everywhere(web: Site, answer: Answer) -> None:
    web.answers = _Everywhere({"*": [answer]})  # type: ignore[assignment]


def refused(error: ProviderError, name: str) -> None:
    """Who, where, when; in words that a database takes."""
    for word in (name, request_of(name).place.city_id, "2026-09"):
        assert word in str(error)
    assert str(error).isprintable()
    assert len(str(error)) < 3_000


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("inside", [False, True])
def test_deeply_nested_json_is_a_typed_error(web: Site, tmp_path: Path, name: str, opening: str, inside: bool) -> None:
    deep = opening.encode() * DEEP
    everywhere(web, Answer(DOCUMENTS[name][1] % deep if inside else deep))
    with pytest.raises((TransientError, PermanentError)) as caught:
        asked(name, web, tmp_path)
    refused(caught.value, name)


@pytest.mark.parametrize("name", ["aemet", "open_meteo", "openweather"])
def test_deeply_nested_archived_json_is_a_typed_error(tmp_path: Path, name: str) -> None:
    path = tmp_path / "deep.json"
    path.write_bytes(DOCUMENTS[name][1] % (b"[" * DEEP))
    with pytest.raises(PermanentError) as caught:
        discover()[name].parse(request_of(name), [Payload(path.name, path, "https://example.org/")])
    refused(caught.value, name)


@pytest.mark.parametrize(
    "address",
    [
        "https://opendata.aemet.es/sh/a\nb",
        "https://opendata.aemet.es/sh/a\x00b",
        "https://opendata.aemet.es/sh/" + "a" * 70_000,
        "https://opendata.aemet.es/sh/" + "a" * 9_000,
        "https://opendata.aemet.es/sh/\ud800",
        "https://opendata.aemet.es/sh/\u2028",
        "https://[::1/sh/a",
        "\x00",
        "",
    ],
)
def test_malformed_address_is_refused(web: Site, tmp_path: Path, address: str) -> None:
    everywhere(web, Answer(json.dumps({"estado": 200, "datos": address}).encode()))
    with pytest.raises(PermanentError, match="refused to call") as caught:
        asked("aemet", web, tmp_path)
    refused(caught.value, "aemet")


def test_control_characters_in_source_messages_are_escaped(web: Site, tmp_path: Path) -> None:
    said = {"estado": 404, "descripcion": "a\x00b \ud800 \x1b[2J " + "long " * 2_000}
    everywhere(web, Answer(json.dumps(said).encode()))
    with pytest.raises(PermanentError, match=r"a\\x00b \\ud800 \\x1b\[2J long") as caught:
        asked("aemet", web, tmp_path)
    refused(caught.value, "aemet")


@pytest.mark.parametrize("number", ["9" * 5_000, "٣٣٣", "1e9", [200], {"a": 1}, -1, 2.5])
@pytest.mark.parametrize(("name", "key"), [("aemet", "estado"), ("openweather", "cod")])
def test_invalid_http_status_is_a_typed_error(web: Site, tmp_path: Path, name: str, key: str, number: object) -> None:
    everywhere(web, Answer(json.dumps({key: number}).encode()))
    with pytest.raises((TransientError, PermanentError)) as caught:
        asked(name, web, tmp_path)
    refused(caught.value, name)


@pytest.mark.parametrize("resources", [5, "x", {"a": 1}, [5], [{"title": 1}], None])
def test_catalogue_of_another_structure_is_refused(web: Site, tmp_path: Path, resources: object) -> None:
    everywhere(web, Answer(json.dumps({"resources": resources}).encode()))
    with pytest.raises(PermanentError, match="lists no file") as caught:
        asked("meteo_france", web, tmp_path)
    refused(caught.value, "meteo_france")


@pytest.mark.parametrize("address", ["https://www.data.gouv.fr/\ud800", "https://www.data.gouv.fr/a\nb", "\x00"])
def test_malformed_address_in_a_catalogue_is_refused(web: Site, tmp_path: Path, address: str) -> None:
    entry = {"title": "HOR_departement_75_periode_2025-2026", "url": address}
    everywhere(web, Answer(json.dumps({"resources": [entry]}).encode()))
    with pytest.raises(PermanentError, match="refused to call") as caught:
        asked("meteo_france", web, tmp_path)
    refused(caught.value, "meteo_france")


@pytest.mark.parametrize("name", ["aemet", "openweather"])
@pytest.mark.parametrize("key", ["clé-canary", "canary\udcff"])
def test_key_invalid_in_a_header_is_a_typed_error(
    web: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, key: str
) -> None:
    monkeypatch.setenv(f"{name.upper()}_API_KEY", key)
    everywhere(web, Answer(b"{}", 401))
    with pytest.raises(PermanentError) as caught:
        asked(name, web, tmp_path)
    refused(caught.value, name)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("token", ["jeton-é", "a\nb", "\ud800", "\x00"])
def test_token_invalid_in_a_header_is_a_typed_error(
    web: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("METEO_FRANCE_APPLICATION_ID", "id")
    everywhere(web, Answer(json.dumps({"access_token": token}).encode()))
    with pytest.raises((PermanentError, TransientError)) as caught:
        asked("meteo_france", web, tmp_path)
    refused(caught.value, "meteo_france")


@pytest.mark.parametrize("location", ["https://[::1", "//[", "https://a.example/\x7f", "https://a.example:x/"])
def test_redirect_without_a_valid_address_is_a_typed_error(web: Site, location: str) -> None:
    web.on(PATH, Answer(b"", 302, {"Location": location}))
    with pytest.raises((PermanentError, TransientError)):
        client(web, settings=HttpSettings(attempts=1)).get(URL)


@pytest.mark.parametrize(
    "text", ["Mon, 99999999999999 Nov 2026 10:00:00 GMT", "Mon, 9 Nov 2026 10:00:00 +99999999999999", "9" * 5_000]
)
def test_out_of_range_retry_after_is_ignored_or_capped(text: str) -> None:
    assert retry_after({"retry-after": text}, 60.0) in (60.0, 86_400.0)


@pytest.mark.parametrize(
    "trailing", [b"x", b"\x00" * 50_000_000, gzip.compress(b"{}") * 3], ids=["one", "50 MB", "more"]
)
def test_bytes_after_a_gzip_member_are_refused_at_once(web: Site, trailing: bytes) -> None:
    web.on(PATH, Answer(gzip.compress(b"{}") + trailing, headers={"Content-Encoding": "gzip"}))
    started = time.process_time()
    with pytest.raises(TransientError, match="after its end"):
        client(web, settings=HttpSettings(attempts=1)).get(URL)
    assert time.process_time() - started < 5


@given(st.text(max_size=40))
def test_any_text_can_be_stored(text: str) -> None:
    made = printable(text)
    assert made.isprintable()
    made.encode()
    assert made == text or not text.isprintable()
    assert all_printable({text: [text, 1, None]}) == {made: [made, 1, None]}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: b"\xef\xbb\xbf" + body,
        lambda body: b" \n\t" + body + b"\r\n",
        lambda body: json.dumps(json.loads(body), indent=3, ensure_ascii=True).encode(),
    ],
    ids=["a byte order mark", "blanks", "escapes"],
)
def test_json_is_read_however_it_is_laid_out(spoil: Callable[[bytes], bytes]) -> None:
    body = '{"nombre": "A CORUÑA"}'.encode()
    assert read_json(spoil(body)) == {"nombre": "A CORUÑA"}
    assert read_json(body.decode().encode("latin-1"), "latin-1") == {"nombre": "A CORUÑA"}
    with pytest.raises(ValueError, match="codec"):
        read_json(body.decode().encode("latin-1"))
