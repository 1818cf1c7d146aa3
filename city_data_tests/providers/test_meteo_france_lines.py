"""Meteo-France's lines, recorded and hostile, and the values parsed from them."""

from __future__ import annotations

import gzip
import io
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from city_data.providers.base import (
    Location,
    ParsedMonth,
    Payload,
    PermanentError,
    Request,
    TransientError,
)
from city_data.providers.meteo_france import MeteoFrance, MeteoFranceSettings
from city_data.providers.meteo_france import bulk_files as bulk
from city_data.providers.meteo_france.hours import read
from city_data.providers.meteo_france.lines import stamp_text
from city_data.providers.shared.wmo_codes import WORDS
from city_data.window import Month
from city_data_tests.sandbox.asking import AS_OF


def asked_of(station: str, month: str, as_of: datetime = AS_OF, timezone: str = "Europe/Paris") -> Request:
    settings = MeteoFranceSettings(department=station[:2], stations=(station,))
    return Request(Location("town", 48.0, 2.0, timezone), Month.parse(month), settings, as_of)


def parse(request: Request, *paths: Path) -> ParsedMonth:
    return MeteoFrance().parse(request, [Payload(path.name, path, "https://example.org/") for path in paths])


def test_recorded_department_file_is_read(recorded: Path) -> None:
    """Its first stamp, 2024010100, ends the last hour of the old year, UTC: the first of the new one in Paris."""
    month = parse(asked_of("44015001", "2024-01"), recorded / "meteofrance" / "HOR_44_blain_2024-01-01.csv")
    frame = month.frame
    assert list(frame["date"]) == list(pd.date_range("2023-12-31T23:00Z", periods=4, freq="h"))
    assert list(frame["temperature"]) == [7.4, 6.8, 7.0, 6.5]
    assert list(frame["precipitation"]) == [0.0, 0.8, 0.2, 0.0]
    assert list(frame["temperature_min"]) == [6.5, 6.8, 6.2, 6.5]
    assert list(frame["temperature_max"]) == [7.5, 7.4, 7.0, 7.3]
    nothing = ["humidity", "wind_speed", "pressure", "sunshine_duration", "cloud_cover", "wind_gust", "snowfall"]
    assert frame[[*nothing, "description"]].isna().all(axis=None)
    assert (month.received, month.used, dict(month.rejected), dict(month.nulled)) == (4, 4, {}, {})
    assert len(month.fields) == 204
    assert month.provenance["quality_codes"] is True


def test_the_recorded_dpclim_file_has_decimal_commas_and_no_quality_codes(recorded: Path) -> None:
    request = asked_of("76116001", "2024-06")
    month = parse(request, recorded / "meteofrance" / "dpclim_horaire_76116001_2024-06-15.csv")
    first = month.frame.iloc[0]
    assert first["date"] == pd.Timestamp("2024-06-15T11:00Z")
    assert (first["temperature"], first["humidity"], first["wind_speed"]) == (14.4, 69, 6.4)
    assert (first["temperature_min"], first["temperature_max"], first["wind_gust"]) == (14.1, 14.5, 13.8)
    assert (first["sunshine_duration"], first["cloud_cover"]) == (0, 100)  # no minute of sun, eight eighths of clouds
    assert (first["pressure"], first["description"]) == (
        1006.7,
        "no significant weather",
    )  # PMER, and not PSTAT's 988.2
    assert len(month.frame) == 2
    assert month.provenance["quality_codes"] is False


@pytest.mark.parametrize(
    "name",
    [
        "dpclim_quotidienne_76116001_2024-06-15.csv",
        "dpclim_quotidienne_Q_33042001_2026-06.csv",
        "dpclim_commande_202.json",
        "dpclim_liste_stations_49.excerpt.json",
        "fiches_postes.SUBSET.geojson",
        "H_descriptif_champs.csv",
        "Q_descriptif_champs_RR-T-Vent.csv",
        "Q_descriptif_champs_autres-parametres.csv",
        "dpobs_horaire_76116001_2024-10-16.json",  # Kelvin and Pascal
        "synop_07510_2026-01-01.csv",  # Kelvin and Pascal, and another station list
    ],
)
def test_file_other_than_hourly_climatology_is_refused(recorded: Path, name: str) -> None:
    with pytest.raises(PermanentError, match=f"^meteo_france: town 2024-06: {name.split('.', maxsplit=1)[0]}"):
        parse(asked_of("76116001", "2024-06"), recorded / "meteofrance" / name)


HEADER = b"NUM_POSTE;NOM_USUEL;LAT;LON;ALTI;AAAAMMJJHH;RR1;QRR1;T;QT\n"


def cut(text: bytes, *stations: str, first: str = "2024010100", last: str = "2024020100") -> bulk.Extract:
    packed = gzip.compress(text)
    return bulk.extract(io.BytesIO(packed), len(packed), stations or ("01014002",), first, last)


def test_station_ids_are_strings_and_a_missing_leading_zero_is_restored() -> None:
    lines = [b"01014002;A;1;1;1;2024010100;0.0;1;1.0;1\n", b"1014002;A;1;1;1;2024010101;0.0;1;1.0;1\n"]
    found = cut(HEADER + b"".join(lines) + b"10140021;B;1;1;1;2024010101;;;;\n\n75")
    assert found.lines == lines
    assert found.stations == {"01014002", "10140021"}


def test_file_without_a_final_newline_is_complete() -> None:
    assert cut(HEADER + b"01014002;A;1;1;1;2024020100;0;1;1;1").lines == [b"01014002;A;1;1;1;2024020100;0;1;1;1"]


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (b"", "is empty"),
        (b"<html>Maintenance</html>" * 40, "begins b'<html>"),
        (gzip.compress(HEADER)[:-4], "too early"),
    ],
    ids=["empty", "a page", "cut short"],
)
def test_incomplete_gzip_is_requested_again(packed: bytes, said: str) -> None:
    with pytest.raises(TransientError, match=said):
        bulk.extract(io.BytesIO(packed), len(packed), ("75114001",), "0", "9")


def test_wrong_checksum_is_reported() -> None:
    packed = bytearray(gzip.compress(HEADER * 100))
    packed[-6] ^= 1
    with pytest.raises(TransientError, match="checksum"):
        bulk.extract(io.BytesIO(packed), len(packed), ("75114001",), "0", "9")


def test_gzip_bombs_and_endless_lines_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PermanentError, match="longer than"):
        cut(HEADER + b"7" * 3_000_000)
    monkeypatch.setattr(bulk, "_PIECE", 10_000)  # a small file may grow to a hundred pieces
    monkeypatch.setattr(bulk, "_MOST_RATIO", 10)
    with pytest.raises(PermanentError, match="inflates to more than"):
        cut(HEADER + (b"7" * 100 + b"\n") * 20_000)


def test_gzip_with_endless_members_is_refused_early() -> None:
    packed = gzip.compress(HEADER) + gzip.compress(b"") * 300_000
    started = time.process_time()
    with pytest.raises(PermanentError, match="gzip members"):
        bulk.extract(io.BytesIO(packed), len(packed), ("75114001",), "0", "9")
    assert time.process_time() - started < 20


@given(st.binary(max_size=4000), st.integers(1, 3), st.integers(1, 9))
def test_inflating_in_pieces_changes_nothing(body: bytes, members: int, repeated: int) -> None:
    piece, bulk._PIECE = bulk._PIECE, 100
    try:
        packed = gzip.compress(body * repeated) * members
        assert b"".join(bulk._inflated(io.BytesIO(packed))) == body * repeated * members
    finally:
        bulk._PIECE = piece


def station_hours(tmp_path: Path, *rows: str, columns: str = "T;QT;RR1;QRR1;U;FF;PMER;PSTAT;WW") -> ParsedMonth:
    path = tmp_path / "lines.csv"
    lines = [f"01174001;GIRON;46.2;5.7;1015;20240601{hour + 1:02d};{row}" for hour, row in enumerate(rows)]
    path.write_text("\n".join([f"NUM_POSTE;NOM_USUEL;LAT;LON;ALTI;AAAAMMJJHH;{columns}", *lines, ""]))
    return parse(asked_of("01174001", "2024-06", timezone="UTC"), path)


def test_above_750_m_pressure_is_reduced_and_flagged(tmp_path: Path) -> None:
    frame = station_hours(
        tmp_path, "8.4;1;0;1;50;1;;896.8;", "8.4;1;0;1;50;1;1013.0;896.8;", ";;0;1;50;1;;896.8;"
    ).frame
    assert frame["pressure"].iloc[0] == pytest.approx(1013.2, abs=1.0)  # the standard atmosphere at 1015 m
    detail = [row["stations"]["01174001"].get("flags") for row in frame["raw_data"]]
    assert detail == [["pressure_reduced"], None, None]
    assert frame["pressure"].iloc[1] == 1013.0
    assert pd.isna(frame["pressure"].iloc[2])  # without a temperature there is no reducing


def test_quality_codes(tmp_path: Path) -> None:
    month = station_hours(tmp_path, *(f"1.5;{code};;;50;;;;" for code in ("0", "1", "9", "", "2", "7")))
    assert list(month.frame["temperature"].fillna(-99)) == [1.5, 1.5, 1.5, 1.5, -99, -99]
    assert dict(month.nulled) == {"doubtful:T": 1, "unknown_quality:T": 1}
    assert month.received == month.used == 6


def test_weather_codes_become_descriptions(tmp_path: Path) -> None:
    month = station_hours(tmp_path, *(f"1;1;;;;;;;{code}" for code in ("61", "95", "0", "", "123")))
    words = ["slight rain", "thunderstorm", "no significant weather", "", ""]
    assert list(month.frame["description"].fillna("")) == words
    assert dict(month.nulled) == {"unknown_code:WW": 1}
    assert sorted(WORDS) == list(range(100))
    assert (WORDS[50], WORDS[75]) == ("slight intermittent drizzle", "heavy snow")


def test_clouds_are_eighths_of_the_sky_and_a_hidden_sky_is_missing(tmp_path: Path) -> None:
    """Also where fog hides it in every hour: 9 is the format's word for that, and no spoilt value."""
    month = with_columns(tmp_path, "N;INS", *("0;0", "3;46", "8;60", "9;", "9;", "9;", "9;", "9;", "9;", "9;"))
    assert list(month.frame["cloud_cover"].fillna(-1)) == [0, 37.5, 100, *[-1] * 7]
    assert list(month.frame["sunshine_duration"].fillna(-1)) == [0, 46, 60, *[-1] * 7]
    assert dict(month.nulled) == {}
    odd = with_columns(tmp_path, "N;INS", "3;46", "10;61", "-1;46", "4;x")
    assert dict(odd.nulled) == {"implausible:N": 1, "negative:N": 1, "implausible:INS": 1, "unreadable:INS": 1}


def with_columns(folder: Path, names: str, *cells: str) -> ParsedMonth:
    """One line an hour, with a humidity, so that each is used."""
    lines = [f"01174001;2024060{1 + hour // 24}{hour % 24:02d};50;{text}" for hour, text in enumerate(cells, start=3)]
    path = folder / "hours.csv"
    path.write_text(f"NUM_POSTE;AAAAMMJJHH;U;{names};T;RR1;FF;PMER\n" + "".join(f"{line};;;;\n" for line in lines))
    return parse(asked_of("01174001", "2024-06", timezone="UTC"), path)


def test_columns_are_read_by_name(tmp_path: Path) -> None:
    month = station_hours(tmp_path, "1013.0;60;new;2.5;-1.0;0.2", columns="PMER;U;NEW;FF;T;RR1")
    row = month.frame.iloc[0]
    assert tuple(row[["temperature", "precipitation", "humidity", "wind_speed", "pressure"]]) == (
        -1.0,
        0.2,
        60,
        2.5,
        1013,
    )


def test_truncated_lines_and_invalid_hours_are_refused_or_counted(tmp_path: Path) -> None:
    month = station_hours(tmp_path, "1;1;0;1;50;1;1013;;", "1;1;0")
    assert dict(month.rejected) == {"broken_line": 1}
    path = tmp_path / "bad.csv"
    path.write_text("POSTE;DATE;T;RR1;U;FF;PMER\n75114001;20240631;1;1;1;1;1\n")
    with pytest.raises(PermanentError, match="no hour as AAAAMMJJHH"):
        parse(asked_of("75114001", "2024-06"), path)


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1)).map(lambda m: m.replace(minute=0, second=0, microsecond=0))
)
def test_timestamp_is_the_end_of_its_hour(tmp_path_factory: pytest.TempPathFactory, moment: datetime) -> None:
    start = moment.replace(tzinfo=UTC)
    path = tmp_path_factory.mktemp("line") / "one.csv"
    stamp = stamp_text(start + timedelta(hours=1))
    path.write_text(f"POSTE;DATE;T;RR1;U;FF;PMER\n75114001;{stamp};1;1;1;1;1000\n")
    reading = read([Payload("one", path, "")], ("75114001",), Month.at(start, "UTC").bounds("UTC"))
    assert list(reading.hours) == [start]
