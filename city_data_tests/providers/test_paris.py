"""Paris's counts: recorded rows, changes of clocks, headers, repeated rows, unusable cells."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from city_data.providers.base import Location, ParsedMonth, Payload, PermanentError, Request, Settings
from city_data.providers.paris_opendata import ParisOpenData
from city_data.providers.paris_opendata.hours import level
from city_data.window import Month
from city_data_tests.providers.wire import RECORDED
from city_data_tests.sandbox.asking import accounted

PARIS = Location("paris", 48.8566, 2.3522, "Europe/Paris")
EXPORT = RECORDED / "paris" / "crp_export_washington_2023-11_2024-12.csv"
ARCHIVE = RECORDED / "paris" / "archive_2010_arc5672.FILTERED.csv"
ARCS = RECORDED / "paris" / "referentiel-comptages-routiers.geojson"
_OUVERT = "5672;2026-09-01T01:00:00+00:00;40.0;6.0;Fluide;Ouvert"
HEADER = "iu_ac;t_1h;q;k;etat_trafic;etat_barre"
WORDS = {"Fluide": "low", "Pré-saturé": "medium", "Saturé": "high", "Bloqué": "severe", "Inconnu": None}


def parse(month: str, *paths: Path, **params: str) -> ParsedMonth:
    request = Request(PARIS, Month.parse(month), Settings(), datetime(2026, 11, 28, tzinfo=UTC))
    payloads = [Payload(path.name, path, "https://example.org/", params) for path in paths]
    return accounted(ParisOpenData().parse(request, payloads))


def written(folder: Path, rows: Sequence[str], header: str = HEADER, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def by_hour(month: ParsedMonth, column: str = "traffic_volume") -> pd.Series:
    return month.frame.set_index("date")[column]


def value(month: ParsedMonth, hour: str, column: str = "traffic_volume") -> object:
    found = by_hour(month, column)[pd.Timestamp(hour)]
    return None if found is None or found != found else found


def test_recorded_export_gives_the_arcs_own_counts_at_the_start_of_their_hours() -> None:
    month = parse("2024-01", EXPORT)
    # 2024-01-04T22:00:00+01:00;1034.0;22.86333;Pré-saturé is the hour from 21:00 to 22:00 in Paris.
    assert value(month, "2024-01-04T20:00Z") == pytest.approx(1034.0)
    assert value(month, "2024-01-04T20:00Z", "congestion_level") == "medium"
    assert value(month, "2024-01-04T18:00Z", "congestion_level") == "high"  # 20:00;1114.0;31.40778;Saturé
    assert month.fields[:4] == ["Identifiant arc", "Libelle", "Date et heure de comptage", "Débit horaire"]
    assert month.received == 8_412


def test_every_recorded_row_has_its_value_in_its_month() -> None:
    """Invalide arcs included: 8,221 of the rows."""
    with EXPORT.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    ends = pd.to_datetime([row["Date et heure de comptage"] for row in rows], utc=True)
    by_start = dict(zip(ends - pd.Timedelta(hours=1), rows, strict=True))
    counted = 0
    for month in Month(2023, 11).until(Month(2025, 1)):
        parsed = parse(str(month), EXPORT)
        volumes, levels = by_hour(parsed), by_hour(parsed, "congestion_level")
        counted += parsed.used
        for hour in volumes.index.intersection(pd.DatetimeIndex(by_start)):
            row = by_start[hour]
            if row["Débit horaire"]:
                assert volumes[hour] == pytest.approx(float(row["Débit horaire"]))
            assert levels[hour] == WORDS[row["Etat trafic"]]
    assert counted == sum(bool(row["Débit horaire"] or row["Taux d'occupation"]) for row in rows)


@pytest.mark.parametrize(
    ("occupancy", "band"),
    [(0.0, "low"), (14.99999, "low"), (15.0, "medium"), (29.9, "medium"), (30.0, "high"), (50.0, "severe")],
)
def test_bands_are_the_portals(occupancy: float, band: str) -> None:
    assert level(occupancy) == band


def test_recorded_archive_has_occupancy_without_counts_and_weeks_that_overlap() -> None:
    month = parse("2010-07", ARCHIVE)
    assert by_hour(month).isna().all()
    # 2010-07-10 01:00:00 stands twice, with the same occupancy.
    assert month.rejected["duplicate"] > 100
    assert "disagreeing" not in month.rejected
    assert set(by_hour(month, "congestion_level").dropna()) <= set(WORDS.values()) - {None}
    assert month.provenance["product"] == "archive"


def test_recorded_archive_s_october_hour_is_one_row() -> None:
    month = parse("2010-10", ARCHIVE)
    first, second = "2010-10-31T00:00Z", "2010-10-31T01:00Z"
    # The hours end at 02:00 summer time (23:00 to 00:00 UTC) and at 02:00 winter time (00:00 to 01:00 UTC).
    assert value(month, "2010-10-30T23:00Z", "congestion_level") is None
    assert value(month, first, "congestion_level") == "high"  # 2010-10-31 02:00:00, k 48.0
    assert value(month, second, "congestion_level") == "high"  # 03:00:00, k 47.0
    flags = month.frame.set_index("date")["raw_data"].map(lambda detail: detail.get("flag"))
    assert flags[flags.notna()].to_dict() == {pd.Timestamp(first): "doubled_hour_unresolved"}


def test_reference_of_arcs_is_refused() -> None:
    with pytest.raises(PermanentError, match="lacks iu_ac"):
        parse("2024-01", ARCS)


# The last Sunday of March and of October; the ends of hours on the clock, the starts of those hours in UTC.
SPRING = {2024: "31", 2025: "30", 2026: "29"}
AUTUMN = {2024: ("27", "26"), 2025: ("26", "25"), 2026: ("25", "24")}


@pytest.mark.parametrize("year", SPRING)
def test_spring_by_hand_with_and_without_offsets(tmp_path: Path, year: int) -> None:
    day = f"{year}-03-{SPRING[year]}"
    local = [f"4264;{day} 0{n}:00:00;{q};{k};1;1" for n, q, k in ((1, 100, 5), (2, 999, 5), (3, 300, 5), (4, 400, 5))]
    exact = [
        f"4264;{day}T{end};{q};5;Fluide;Ouvert"
        for end, q in (("01:00:00+01:00", 100), ("03:00:00+02:00", 300), ("04:00:00+02:00", 400))
    ]
    without = parse(f"{year}-03", written(tmp_path, local))
    with_offset = parse(f"{year}-03", written(tmp_path, exact))
    for month in (without, with_offset):
        assert [value(month, f"{day}T0{n}:00Z") for n in (0, 1)] == [300.0, 400.0]
        assert value(month, str(pd.Timestamp(f"{day}T00:00Z") - pd.Timedelta(hours=1))) == 100.0
    assert without.rejected == {"nonexistent_local_hour": 1}
    assert with_offset.rejected == {}


@pytest.mark.parametrize("year", AUTUMN)
def test_autumn_by_hand_with_and_without_offsets(tmp_path: Path, year: int) -> None:
    day, before = (f"{year}-10-{text}" for text in AUTUMN[year])
    local = [f"4264;{day} 0{n}:00:00;{q};5;1;1" for n, q in ((1, 100), (2, 200), (3, 300))]
    ends = ("01:00:00+02:00", "02:00:00+02:00", "02:00:00+01:00", "03:00:00+01:00")
    exact = [f"4264;{day}T{end};{q};5;Fluide;Ouvert" for end, q in zip(ends, (100, 150, 200, 300), strict=True)]
    one_row = parse(f"{year}-10", written(tmp_path, local))
    hours = (f"{before}T22:00Z", f"{before}T23:00Z", f"{day}T00:00Z", f"{day}T01:00Z")
    assert [value(one_row, hour) for hour in hours] == [100.0, None, 200.0, 300.0]
    flagged = one_row.frame.set_index("date")["raw_data"][pd.Timestamp(hours[2])]
    assert flagged["flag"] == "doubled_hour_unresolved"
    both = parse(f"{year}-10", written(tmp_path, exact))
    assert [value(both, hour) for hour in hours] == [100.0, 150.0, 200.0, 300.0]
    assert not any("flag" in detail for detail in both.frame["raw_data"])


@pytest.mark.parametrize("spelling", ["2026-09-01T01:00:00Z", "2026-09-01 03:00:00+02", "2026-09-01T03:00+0200"])
def test_offset_in_every_spelling_is_the_same_hour(tmp_path: Path, spelling: str) -> None:
    month = parse("2026-09", written(tmp_path, [f"4264;{spelling};120.0;5.5;Fluide;Ouvert"]))
    assert value(month, "2026-09-01T00:00Z") == 120.0


@pytest.mark.parametrize(
    ("stamp", "reason"),
    [
        ("yesterday", "not_a_time"),
        ("2026-09-31T01:00:00Z", "not_a_time"),
        ("0001-01-01T00:00:00+02:00", "outside_month"),
        ("2026-09-01T01:15:00Z", "off_the_hour"),
        ("2026-08-31T22:00:00Z", "outside_month"),
        ("2026-09-30T23:00:00Z", "outside_month"),
    ],
)
def test_stamp_of_no_hour_of_the_month_is_rejected_under_its_reason(tmp_path: Path, stamp: str, reason: str) -> None:
    rows = [f"4264;2026-09-01T0{n}:00:00Z;120.0;5.5;Fluide;Ouvert" for n in range(4)]
    month = parse("2026-09", written(tmp_path, [*rows, f"4264;{stamp};1.0;1.0;Fluide;Ouvert"]))
    assert month.rejected == {reason: 1}


@pytest.mark.parametrize(
    "lines",
    [
        [_OUVERT + "\r" + _OUVERT, ""],
        [_OUVERT + ";7", _OUVERT.removesuffix(";Ouvert")],
    ],
    ids=["joined, and an empty one", "longer, and a shorter one"],
)
def test_line_of_another_length_is_rejected_although_the_file_has_as_many_cells(
    tmp_path: Path, lines: list[str]
) -> None:
    whole = [f"4264;2026-09-01T0{hour}:00:00+00:00;100.0;10.0;Fluide;Ouvert" for hour in range(3)]
    month = parse("2026-09", written(tmp_path, [*whole, *lines]))
    assert month.rejected == {"broken_line": sum(line != "" for line in lines)}
    assert month.used == 3


def test_unusable_cells_are_null_and_counted(tmp_path: Path) -> None:
    cells = [("10.0", "5"), ("20.0", "101"), ("-1.0", "6"), ("20001", "7"), ("x", "8"), ("60.0", "9"), ("70.0", "")]
    rows = [f"4264;2026-09-01T0{n}:00:00Z;{q};{k};Fluide;Ouvert" for n, (q, k) in enumerate(cells)]
    month = parse("2026-09", written(tmp_path, rows))
    assert month.nulled == {"implausible:k": 1, "negative:q": 1, "implausible:q": 1, "unreadable:q": 1}
    assert month.used == 7
    assert value(month, "2026-09-01T01:00Z") is None  # the hour that ends at 02:00 counted -1


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        *((f"1{mark}034", "is ambiguous") for mark in ".,' "),
        ("1034,0", "3 of 3 cells of 'q' cannot be used, such as '1034,0' in line 2"),
    ],
)
def test_other_notation_of_counts_is_refused_with_the_cell(tmp_path: Path, cell: str, text: str) -> None:
    rows = [f"4264;2026-09-01T0{n}:00:00Z;{cell};5;Fluide;Ouvert" for n in range(3)]
    with pytest.raises(PermanentError, match=text):
        parse("2026-09", written(tmp_path, rows))


def test_export_that_leaves_out_the_requested_zone_s_offset_is_refused(tmp_path: Path) -> None:
    """The archive's stamps, which are the city's clock, have none either: the month would be two hours off."""
    stamps = written(tmp_path, [f"4264;2026-09-01T0{n}:00:00;120.0;5;Fluide;Ouvert" for n in range(4)])
    assert value(parse("2026-09", stamps), "2026-08-31T22:00Z") == 120  # 01:00 in Paris ends this hour
    with pytest.raises(PermanentError, match=r"4 of 4 lines cannot be read, most of them not_a_time"):
        parse("2026-09", stamps, timezone="UTC")


def test_occupancy_as_a_share_of_one_is_refused(tmp_path: Path) -> None:
    """Every hour would have the level `low`."""
    rows = [f"4264;2026-09-01T{n:02d}:00:00Z;100;0.{n + 10};Fluide;Ouvert" for n in range(24)]
    with pytest.raises(PermanentError, match=r"'k' is a share of 1 and not of 100: .* 0\.3"):
        parse("2026-09", written(tmp_path, rows))


def test_missing_or_doubled_columns_and_other_months_are_refused(tmp_path: Path) -> None:
    row = ["4264;2026-09-01T01:00:00Z;120.0;5.5;Fluide;Ouvert"]
    with pytest.raises(PermanentError, match=r"lacks q \(Débit horaire\)"):
        parse("2026-09", written(tmp_path, row, HEADER.replace(";q;", ";debit;")))
    with pytest.raises(PermanentError, match="has q more than once"):
        parse("2026-09", written(tmp_path, row, HEADER.replace("etat_barre", "Débit horaire")))
    with pytest.raises(PermanentError, match="no row of the month among 1"):
        parse("2026-10", written(tmp_path, row))


_LABELLED = "Identifiant arc;Date et heure de comptage;Débit horaire;Taux d'occupation;Etat trafic;Etat arc"


@pytest.mark.parametrize(
    "header",
    [HEADER.upper().encode(), _LABELLED.encode(), _LABELLED.encode("latin-1"), _LABELLED.upper().encode(),
     unicodedata.normalize("NFD", _LABELLED).encode(), HEADER.replace(";", '" ; "').encode()],
)  # fmt: skip
def test_column_names_in_the_portals_spellings_are_known(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(header + b"\n4264;2026-09-01T01:00:00Z;120.0;5.5;Fluide;Ouvert\n")
    assert value(parse("2026-09", path), "2026-09-01T00:00Z") == 120.0


@pytest.mark.parametrize(
    ("name", "other"),
    [("iu_ac", "iû_ac"), ("q", "q̃"), ("k", "ķ"), ("k", "ｋ"), ("t_1h", "t_¹h"), ("iu_ac", "iu_ac€"),
     ("q", "Debit horaire")],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_column_name_with_another_letter_is_another_column(
    tmp_path: Path, name: str, other: str, encoding: str
) -> None:
    row = b"\n4264;2026-09-01T01:00:00Z;120.0;5.5;Fluide;Ouvert\n"
    path = tmp_path / "rows.csv"
    columns = [other if column == name else column for column in HEADER.split(";")]
    path.write_bytes(";".join(columns).encode(encoding, "replace") + row)
    with pytest.raises(PermanentError, match=f"lacks {name} "):
        parse("2026-09", path)


def test_arc_that_dies_does_not_look_like_falling_traffic(tmp_path: Path) -> None:
    """A busy arc of 900 and a quiet one of 100; in the last days the busy one is silent."""
    hours = pd.date_range("2026-09-01T00:00Z", periods=28 * 24, freq="h")
    rows = [f"1;{hour:%Y-%m-%dT%H:00:00Z};100.0;5;Fluide;Ouvert" for hour in hours]
    rows += [f"2;{hour:%Y-%m-%dT%H:00:00Z};900.0;5;Fluide;Ouvert" for hour in hours[: 24 * 25]]
    volumes = by_hour(parse("2026-09", written(tmp_path, rows))).dropna()
    assert set(volumes) == {500.0}  # coverage of the silent days is 10 %: no value, never the quiet arc's own
    assert len(volumes) == 24 * 25
