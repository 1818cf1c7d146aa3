"""AEMET: every recorded payload parsed or refused, textual rain amounts, and the two steps of a request."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from city_data.providers.aemet import Aemet, AemetSettings
from city_data.providers.aemet.records import records
from city_data.providers.base import (
    NotAvailable,
    NotYetPublished,
    ParsedMonth,
    Payload,
    PermanentError,
    ProviderError,
    Request,
    TransientError,
)
from city_data.providers.http import HttpClient, HttpSettings
from city_data.providers.shared.stations import sea_level_pressure
from city_data.window import Month
from city_data_tests.providers.wire import Answer, Call, Site
from city_data_tests.sandbox.asking import MADRID, StillClock, accounted

HOST = "opendata.aemet.es"
KEY = "canary-77"
DATOS = f"https://{HOST}/opendata/sh/f4f587b4"
SPAN = "fechaini/2026-09-01T00:00:00UTC/fechafin/2026-09-30T23:59:59UTC"


def question(month: str = "2026-09", *stations: str) -> Request:
    settings = AemetSettings(stations=stations or ("3195",))
    return Request(MADRID, Month.parse(month), settings, datetime(2026, 11, 24, tzinfo=UTC))


def parsed(path: Path, month: str, *stations: str) -> ParsedMonth:
    return accounted(Aemet().parse(question(month, *stations), [Payload(path.name, path, "https://example.org")]))


def day(folder: Path, month: str = "2026-09", **fields: str) -> tuple[pd.Series[Any], ParsedMonth]:
    """The first row of a file of one record."""
    record = {"fecha": f"{month}-01", "indicativo": "3195", "altitud": "667"} | fields
    file = folder / "one.json"
    file.write_bytes(json.dumps([record]).encode())
    made = parsed(file, month)
    return made.frame.iloc[0], made


def test_month_of_one_sparse_station(recorded: Path) -> None:
    made = parsed(recorded / "aemet" / "diarios_3194U_2019-10.json", "2019-10", "3194U")
    frame = made.frame
    assert len(frame) == 30
    assert frame["date"].iloc[0] == pd.Timestamp("2019-09-30T22:00Z")
    assert frame["date"].iloc[-1] == pd.Timestamp("2019-10-29T23:00Z")  # after the clocks changed
    assert (frame["temperature"].iloc[0], frame["precipitation"].iloc[0]) == (19.0, 0.0)
    assert frame[["humidity", "wind_speed", "pressure"]].isna().all(axis=None)
    assert (made.rejected, made.provenance["unknown_fields"]) == ({}, [])
    assert made.provenance["stations"] == [
        {"id": "3194U", "name": "MADRID, CIUDAD UNIVERSITARIA", "altitude_m": 664.0, "days": 30, "weight": 1.0}
    ]


def test_half_a_month_with_gaps(recorded: Path) -> None:
    made = parsed(recorded / "aemet" / "diarios_B228_2026-05-01_15.json", "2026-05", "B228")
    assert len(made.frame) == 15
    assert made.frame["precipitation"].isna().sum() == 4
    assert made.frame["pressure"].between(990, 1035).all()
    assert made.rejected == {}


def test_a_day_of_the_whole_country(recorded: Path) -> None:
    """One day of 404 stations, as one city of 404 stations would have it."""
    path = recorded / "aemet" / "diarios_todasestaciones_2026-06-22.subset.json"
    made = parsed(path, "2026-06", *{record["indicativo"] for record in json.loads(path.read_bytes())})
    (detail,) = made.frame["raw_data"]
    stations = detail["stations"]
    missing = {name: sum(s[name] is None for s in stations.values()) for name in ("temperature", "precipitation")}
    assert (len(stations), missing) == (404, {"temperature": 24, "precipitation": 13})
    assert sum("trace_precipitation" in s.get("flags", ()) for s in stations.values()) == 4
    assert (made.rejected, made.provenance["unknown_fields"]) == ({}, [])
    reduced = [s["pressure"] for s in stations.values() if s["pressure"] is not None]
    inside = [value for value in reduced if 1010 < value < 1025]  # one air mass, from the beach to the mountains
    assert (len(inside), len(reduced)) == (115, 116)


def test_station_inventory_is_read_in_both_encodings(recorded: Path) -> None:
    names = ("inventario_todasestaciones_2026-06.json", "inventario_todasestaciones_2026-06.DERIVED-iso8859-15.json")
    utf8, wire = (records(Payload(name, recorded / "aemet" / name, "")) for name in names)
    assert len(utf8) == 920
    assert utf8 == wire
    assert "3197" not in {station["indicativo"] for station in wire}


@pytest.mark.parametrize(
    "name", ["inventario_todasestaciones_2026-06.json", "observacion_convencional_3195_2021-01-08.json"]
)
def test_recorded_payloads_other_than_daily_records_are_refused(recorded: Path, name: str) -> None:
    with pytest.raises(PermanentError, match=r"aemet: madrid 2026-06: .*without `fecha`"):
        parsed(recorded / "aemet" / name, "2026-06")


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("error_404_no_hay_datos.json", NotAvailable, "no data from the stations 3195"),
        ("error_404_rango_de_fechas.json", PermanentError, "rango de fechas"),
        ("error_401_api_key_invalido.json", PermanentError, "AEMET_API_KEY"),
        ("error_429_caudal.DERIVED.json", TransientError, "429"),
        ("envelope_200_exito_2021.json", TransientError, "expired"),
        ("envelope_200_exito_2026.json", TransientError, "expired"),
    ],
)
@pytest.mark.parametrize("by_status", [False, True])
def test_recorded_errors_are_typed(
    recorded: Path, wired: Wired, name: str, kind: type[ProviderError], said: str, by_status: bool
) -> None:
    body = (recorded / "aemet" / name).read_bytes()
    estado = json.loads(body)["estado"]
    wired.web.on(wired.first, Answer(body, estado if by_status else 200))
    for address in ("208c3ca3", "f4f587b4"):
        wired.web.on(f"/{HOST}/opendata/sh/{address}", Answer(b'{"descripcion":"datos expirados","estado":404}'))
    with pytest.raises(kind, match="aemet: madrid 2026-09") as caught:
        wired.fetch()
    assert said in str(caught.value)
    assert KEY not in str(caught.value)
    if isinstance(caught.value, TransientError) and estado == 429:
        assert caught.value.retry_after == 60


class Wired:
    """The provider, its client, and a server whose answers the test writes."""

    def __init__(self, web: Site, into: Path) -> None:
        self.web, self.into = web, into
        self.first = f"/{HOST}/opendata/api/valores/climatologicos/diarios/datos/{SPAN}/estacion/3195"

    def fetch(self, asked: Request | None = None) -> list[Payload]:
        routes = {HOST: f"{self.web.url}/{HOST}"}
        http = HttpClient(
            "aemet", Aemet.capabilities, settings=HttpSettings(attempts=2), clock=StillClock(), routes=routes
        )
        return list(Aemet().fetch(asked or question(), http, self.into))

    def on_data(self, *replies: Any) -> None:
        self.web.on(self.first, Answer(json.dumps({"estado": 200, "datos": DATOS}).encode()))
        self.web.on(f"/{HOST}/opendata/sh/f4f587b4", *replies)


@pytest.fixture
def wired(web: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wired:
    monkeypatch.setenv("AEMET_API_KEY", KEY)
    return Wired(web, tmp_path)


def test_key_is_sent_in_the_first_of_two_steps_only(wired: Wired) -> None:
    body = '[ {\n  "fecha" : "2026-09-01", "indicativo" : "3195", "nombre" : "A CORUÑA", "tmed" : "1,5"} ]'.encode(
        "latin-1"
    )
    wired.on_data(Answer(body, headers={"Content-Type": "text/plain;charset=UTF-8"}))
    (payload,) = wired.fetch()
    assert payload.path.read_bytes() == body
    assert KEY not in f"{payload.url} {payload.params}"
    one, two = wired.web.calls
    assert one.headers["api_key"] == KEY
    assert KEY not in str(two)
    assert Aemet().parse(question(), [payload]).frame["temperature"].tolist() == [1.5]


def test_expired_data_url_is_requested_again(wired: Wired) -> None:
    gone = Answer(b'{"descripcion":"datos expirados","estado":404}')
    wired.on_data(gone, Answer(b'[{"fecha":"2026-09-01","indicativo":"3195","tmed":"20,1"}]'))
    assert len(wired.fetch()) == 1
    assert [call.path.rpartition("/")[2] for call in wired.web.calls] == ["3195", "f4f587b4"] * 2


def test_errors_given_only_in_headers_are_typed(wired: Wired) -> None:
    wired.web.on(wired.first, Answer(b"", headers={"aemet_estado": "429", "aemet_mensaje": "espere"}))
    with pytest.raises(TransientError, match="espere"):
        wired.fetch()


def test_one_station_without_data_is_tolerated_and_no_data_at_all_is_a_state(wired: Wired) -> None:
    none = Answer(b'{"descripcion": "No hay datos que satisfagan esos criterios", "estado": 404}')
    wired.on_data(Answer(b'[{"fecha":"2026-09-01","indicativo":"3195","tmed":"20,1"}]'))
    wired.web.on(wired.first.replace("3195", "3129"), none)
    both = question("2026-09", "3129", "3195")
    assert [payload.name for payload in wired.fetch(both)] == ["3195.json"]
    wired.on_data(Answer(b"[ ]"))
    with pytest.raises(NotAvailable, match="3129, 3195"):
        wired.fetch(both)
    end = both.month.bounds(MADRID.timezone)[1]
    for after, kind in ((timedelta(days=34), NotYetPublished), (timedelta(days=36), NotAvailable)):
        with pytest.raises(kind):
            wired.fetch(replace(both, as_of=end + after))


def test_open_month_is_requested_up_to_today(wired: Wired) -> None:
    def reply(call: Call) -> Answer:
        assert "fechaini/2026-09-01T00:00:00UTC/fechafin/2026-09-07T23:59:59UTC" in call.path
        return Answer(json.dumps({"estado": 200, "datos": DATOS}).encode())

    wired.web.on(wired.first.replace("2026-09-30", "2026-09-07"), reply)
    wired.web.on(f"/{HOST}/opendata/sh/f4f587b4", Answer(b'[{"fecha":"2026-09-01","indicativo":"3195","tmed":"20,1"}]'))
    assert wired.fetch(replace(question(), as_of=datetime(2026, 9, 7, 12, tzinfo=UTC)))


@pytest.mark.parametrize(
    ("text", "value", "flags", "nulled"),
    [
        ("1,2", 1.2, [], {}),
        ("Ip", 0.0, ["trace_precipitation"], {}),
        ("-0,3", 0.0, ["trace_precipitation"], {}),
        ("Acum", None, ["accumulated_precipitation"], {"accumulated:prec": 1}),
        ("-1,0", None, [], {"negative:prec": 1}),
        ("1.2", None, [], {"unreadable:prec": 1}),
        ("NaN", None, [], {"unreadable:prec": 1}),
        ("", None, [], {"unreadable:prec": 1}),
        ("999,9", None, [], {"implausible:prec": 1}),
        (" ip", 0.0, ["trace_precipitation"], {}),
    ],
)
def test_textual_rain_amounts_become_numbers(
    tmp_path: Path, text: str, value: float | None, flags: list[str], nulled: dict[str, int]
) -> None:
    row, made = day(tmp_path, prec=text)
    assert row["precipitation"] == value or (value is None and pd.isna(row["precipitation"]))
    assert row["raw_data"]["stations"]["3195"].get("flags", []) == flags
    assert (made.rejected, made.nulled) == ({}, nulled)


def test_pressure_is_reduced_to_sea_level(tmp_path: Path) -> None:
    row, _ = day(tmp_path, tmed="15,0", presMax="942,0", presMin="940,0")
    assert row["pressure"] == pytest.approx(1018, abs=1)  # Retiro at 667 m
    assert row["raw_data"]["stations"]["3195"]["flags"] == ["pressure_reduced"]
    for absent in ({"presMax": "942,0", "presMin": "940,0"}, {"tmed": "15,0", "presMax": "942,0"}):
        assert pd.isna(day(tmp_path, **absent)[0]["pressure"])
    assert sea_level_pressure(1013.25, 0, 15) == 1013.25
    assert sea_level_pressure(898.75, 1000, 8.5) == pytest.approx(1013.25, abs=0.5)  # the standard atmosphere


def test_every_row_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "days.json"
    record: Callable[..., dict[str, str]] = lambda fecha, **more: {"fecha": fecha, "indicativo": "3195", **more}  # noqa: E731
    days = [record("2026-09-01", nuevo="1"), record("2026-09-01"), record("2026-08-31"), record("2026-10-01")]
    file.write_text(json.dumps(days))
    made = parsed(file, "2026-09")
    assert len(made.frame) == 1
    assert (made.received, made.used, made.rejected) == (4, 1, {"duplicate": 1, "outside_month": 2})
    assert made.provenance["unknown_fields"] == ["nuevo"]


@pytest.mark.parametrize("body", ["", "<html>", "{}", "[1]", '[{"fecha": "01/09/2026", "indicativo": "1"}]'])
def test_answer_other_than_a_list_of_days_is_refused(tmp_path: Path, body: str) -> None:
    (tmp_path / "x.json").write_text(body)
    with pytest.raises(PermanentError, match="aemet: madrid 2026-09"):
        parsed(tmp_path / "x.json", "2026-09")


@pytest.mark.parametrize("stations", [[], [76], ["../../etc"], ["3195 "]])
def test_invalid_station_settings_are_refused(stations: list[Any]) -> None:
    with pytest.raises(ValueError, match="stations"):
        AemetSettings.model_validate({"stations": stations})
