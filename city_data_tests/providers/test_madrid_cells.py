"""Madrid's rows in malformed files: numbers, types, repeats, dates, containers. A value is right or missing."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from city_data.providers.base import ParsedMonth, PermanentError
from city_data_tests.providers.madrid_files import HEADER, hour, parsed, rows, zipped

M30 = {"kind": "M30", "rest": "1;0;80;N;5"}
MONTH = "2026-09"


def good(hours: int = 24, flow: object = 200, m30: object = 1000) -> list[str]:
    """A city of one urban point and one on the M30."""
    stamps = [f"{MONTH}-{1 + n // 24:02d} {n % 24:02d}" for n in range(hours)]
    return [line for stamp in stamps for line in hour(3001, stamp, flow) + hour(1001, stamp, m30, **M30)]


def month_of(folder: Path, lines: list[str]) -> ParsedMonth:
    return parsed(rows(folder, MONTH, lines), MONTH)


def volumes(made: ParsedMonth) -> list[float]:
    return [float(value) for value in made.frame["traffic_volume"]]


@pytest.mark.parametrize("flow", ["200", "200.0", " 200", "+200", '"200"', '200"', "0200.00"])
def test_equivalent_number_formats_give_the_same_value(tmp_path: Path, flow: str) -> None:
    made = month_of(tmp_path, good(flow=flow))
    assert volumes(made) == [0.9 * 200 + 0.1 * 1000] * 24
    assert made.nulled == {}


@pytest.mark.parametrize("flow", ["1.110", "1.000", "12.345", "1,110", "1'110", "1 110", "1.110,0"])
def test_thousands_mark_in_a_count_is_refused(tmp_path: Path, flow: str) -> None:
    """Unreadable cells are left out: of a month with marks those of its high counts alone, whose gaps are then filled
    from low ones."""
    lines = good()
    lines[5] = lines[5].replace(";200;", f";{flow};").replace(";1000;", f";{flow};")
    with pytest.raises(PermanentError, match=rf"madrid 2026-09: {flow!r} in line 7, column 'intensidad' is ambiguous"):
        month_of(tmp_path, lines)


@pytest.mark.parametrize("column", ["intensidad", "carga", "vmed"])
@pytest.mark.parametrize("spelling", ["{},0", "x{}", "{}e1", "inf"])
def test_mostly_unreadable_column_is_refused_with_an_example_cell(tmp_path: Path, column: str, spelling: str) -> None:
    place = HEADER.split(";").index(column)
    lines = [line.split(";") for line in good()]
    for cells in lines:
        cells[place] = spelling.format(cells[place])
    with pytest.raises(PermanentError, match=f"cells of '{column}' cannot be used, such as '.+' in line 2"):
        month_of(tmp_path, [";".join(cells) for cells in lines])


def test_load_as_a_share_of_one_is_refused(tmp_path: Path) -> None:
    """Every hour would have the level `low`."""
    place = HEADER.split(";").index("carga")
    lines = [line.split(";") for line in good()]
    shares = [";".join([*cells[:place], "0.87", *cells[place + 1 :]]) for cells in lines]
    with pytest.raises(PermanentError, match=r"'carga' is a share of 1 and not of 100: .* 0\.87"):
        month_of(tmp_path, shares)


@pytest.mark.parametrize(
    ("column", "value", "nulled"),
    [
        ("carga", "101", "implausible:carga"),
        ("carga", "9999", "implausible:carga"),
        ("carga", "-5", "negative:carga"),
        ("carga", "inf", "unreadable:carga"),
        ("carga", "20,5", "unreadable:carga"),
        ("vmed", "9999", "implausible:vmed"),
        ("vmed", "65535", "implausible:vmed"),
        ("vmed", "inf", "unreadable:vmed"),
    ],
)
def test_unusable_second_value_is_counted_and_changes_nothing(
    tmp_path: Path, column: str, value: str, nulled: str
) -> None:
    plain = month_of(tmp_path, good())
    place, lines = HEADER.split(";").index(column), [line.split(";") for line in good()]
    lines[1 if column == "carga" else 5][place] = value
    made = month_of(tmp_path, [";".join(cells) for cells in lines])
    assert made.nulled == {nulled: 1}
    assert made.used == plain.used
    assert made.frame.drop(columns="raw_data").equals(plain.frame.drop(columns="raw_data"))


def test_unreadable_count_is_a_rejected_row(tmp_path: Path) -> None:
    lines = good()
    lines[0] = lines[0].replace(";200;", ";2x0;")
    made = month_of(tmp_path, lines)
    assert made.rejected == {"unreadable": 1}
    assert volumes(made) == [280] * 24


@pytest.mark.parametrize("odd", ["", "M30", "M-30", "AUTOPISTA"])
def test_station_type_is_that_of_most_rows(tmp_path: Path, odd: str) -> None:
    lines = good(hours=48)
    for place in [n for n, line in enumerate(lines) if line.startswith("3001")][::7]:
        lines[place] = lines[place].replace("URB", odd)
    made = month_of(tmp_path, lines)
    assert volumes(made) == [280] * 48
    assert made.used == made.received
    assert made.provenance["relabelled_rows"] == 28


def test_station_type_does_not_depend_on_row_order(tmp_path: Path) -> None:
    lines = good(hours=48) + [line for n in range(24) for line in hour(3001, f"{MONTH}-03 {n:02d}", 900, **M30)]
    frames = []
    for seed in range(4):
        random.Random(seed).shuffle(lines)
        frames.append(month_of(tmp_path, lines).frame)
    assert all(frame.equals(frames[0]) for frame in frames)


@pytest.mark.parametrize("label", ["", "AUTOPISTA", "OTROS"])
def test_stations_of_unknown_type_are_excluded_and_a_lost_stratum_leaves_no_volume(tmp_path: Path, label: str) -> None:
    made = month_of(tmp_path, [line.replace("M30", label) for line in good()])
    assert made.rejected == {"unknown_kind": 96}
    assert made.nulled == {"no_panel_m30:intensidad": 96}
    assert made.frame["traffic_volume"].isna().all()
    assert set(made.frame["congestion_level"]) == {"low"}


@pytest.mark.parametrize("days", [30, 21, 20, 0])
def test_stratum_without_a_panel_gives_no_shifted_volume(tmp_path: Path, days: int) -> None:
    lines = [line for line in good(720, 250) if not line.startswith("1001") or int(line[13:15]) <= days]
    made = month_of(tmp_path, lines)
    known = made.frame["traffic_volume"].dropna()
    assert set(known) <= {325.0}
    assert len(known) == {30: 720, 21: 504}.get(days, 0)
    assert bool(made.nulled) == (days < 21)


@pytest.mark.parametrize(
    ("spoil", "counted"),
    [
        (lambda line: line.replace("3001;", "3.001;"), "other_month"),
        (lambda line: line.replace(";250;", ";250,0;"), "unreadable"),
        (lambda line: line[:-2] + "0" if ";URB;" in line else line, "no_samples"),
    ],
)
def test_stratum_lost_to_a_misspelling_leaves_no_volume(
    tmp_path: Path, spoil: Callable[[str], str], counted: str
) -> None:
    made = month_of(tmp_path, [spoil(line) for line in good(flow=250)])
    assert made.rejected == {counted: 96}
    assert made.frame["traffic_volume"].isna().all()
    assert made.nulled == {"no_panel_urban:intensidad": 96}


def test_identifier_with_a_decimal_point_is_the_same_station(tmp_path: Path) -> None:
    lines = good(12) + [line.replace("3001;", "3001.0;").replace(" 0", " 1") for line in good(2)]
    made = month_of(tmp_path, lines)
    assert made.provenance["points"] == 2


def test_file_of_far_too_many_identifiers_is_refused(tmp_path: Path) -> None:
    """Each takes the memory of a point's whole month: 100,000 would take 2 GB."""
    lines = [line for station in range(1, 20_002) for line in hour(station, "2026-09-01 05", 200)[:1]]
    with pytest.raises(PermanentError, match="more than 20,000 measuring points"):
        month_of(tmp_path, lines)


def test_repeated_rows_are_detected_by_station_and_quarter_hour(tmp_path: Path) -> None:
    """The second `:00` stands where `:45` is missing: four rows, of three quarters."""
    lines = good()
    repeat = lines[0].replace(";200;", ";9000;")
    lacking = [line for line in lines if not line.startswith("3001;2026-09-01 00:45")]
    made = month_of(tmp_path, [*lacking, repeat])
    assert volumes(made) == [280] * 24
    assert made.rejected == {"disagreeing": 1}
    with_other = month_of(tmp_path, [*lacking, repeat, lines[4]])  # a repeated row of the M30 point
    assert volumes(with_other) == [280] * 24
    assert with_other.rejected == {"disagreeing": 1, "duplicate": 1}


@pytest.mark.parametrize("empty", ["", "NaN", "-1"])
@pytest.mark.parametrize("first", [True, False])
def test_row_with_a_value_wins_over_the_empty_one(tmp_path: Path, empty: str, first: bool) -> None:
    lines = good()
    spoilt = [line.replace(";200;", f";{empty};") for line in lines if line.startswith("3001")]
    made = month_of(tmp_path, spoilt + lines if first else lines + spoilt)
    assert volumes(made) == [280] * 24
    assert made.rejected == {"duplicate": 96}


def test_lower_median_of_conflicting_values_counts_in_any_order(tmp_path: Path) -> None:
    lines = good()
    odd = [lines[0].replace(";200;", f";{flow};") for flow in (9000, 100)]
    for more in (odd, odd[::-1]):
        made = month_of(tmp_path, [*more, *lines])
        assert volumes(made) == [280] * 24
        assert made.rejected == {"disagreeing": 2}


def october(first: list[str], second: list[str], other: list[str]) -> list[str]:
    """The days up to the change of clocks of October 2025, with these rows of the doubled hour."""
    plain = [f"2025-10-{day:02d} {n:02d}" for day in range(1, 27) for n in range(24) if (day, n) != (26, 2)]
    lines = [line for stamp in plain for line in hour(3001, stamp, 100) + hour(1001, stamp, 100, **M30)]
    return [*lines, *first, *second, *other]


def pass_of(flow: int, station: int = 3001) -> list[str]:
    return hour(station, "2025-10-26 02", flow, **(M30 if station < 3000 else {}))


def doubled(folder: Path, *hours: list[str]) -> tuple[list[float | None], ParsedMonth]:
    made = parsed(rows(folder, "2025-10", october(*hours)), "2025-10")
    known = made.frame.set_index("date")["traffic_volume"]
    values = [known[f"2025-10-26T0{n}:00Z"] for n in (0, 1)]
    return [None if value != value else float(value) for value in values], made


def test_repeated_october_hour_is_exact_despite_other_repeats(tmp_path: Path) -> None:
    urban, motorway = (pass_of(200), pass_of(300)), (pass_of(200, 1001), pass_of(300, 1001))
    values, made = doubled(tmp_path, urban[0] + motorway[0], urban[1] + motorway[1], [])
    assert values == [200, 300]
    assert made.rejected == {}
    values, made = doubled(tmp_path, urban[0][:1] + urban[0] + motorway[0], urban[1] + motorway[1], [])
    assert values == [200, 300]
    assert made.rejected == {"duplicate": 1}


def test_station_with_one_row_for_the_repeated_hour_is_excluded(tmp_path: Path) -> None:
    twice = [*pass_of(200), *pass_of(200, 1001)], [*pass_of(300), *pass_of(300, 1001)]
    values, made = doubled(tmp_path, *twice, hour(3002, "2025-10-26 02", 5000))
    assert values == [200, 300]
    assert made.rejected == {"unresolved_hour": 4}


DATES: dict[str, Callable[[str], str]] = {
    "without seconds": lambda text: text.replace(":00;", ";"),
    "with T": lambda text: text.replace("2026-09-01 ", "2026-09-01T"),
    "with a fraction": lambda text: text.replace(":00;", ":00.0;"),
    "blanks in the header": lambda text: text.replace(";fecha", "; fecha ", 1),
    "an upper-case header": lambda text: text.replace(HEADER, HEADER.upper()),
    "one stray quote": lambda text: text.replace("3001;", '3001";', 1),
    "a quote before a date": lambda text: text.replace(";2026", ';"2026', 1),
    "a BOM": lambda text: f"\ufeff{text}",
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "quotes": lambda text: "\n".join(";".join(f'"{c}"' for c in line.split(";")) for line in text.splitlines()),
    "a comma between columns": lambda text: text.replace(";", ","),
    "columns alike and unknown": lambda text: "\n".join(f"{line};x;x" for line in text.splitlines()),
}


@pytest.mark.parametrize("spelling", DATES)
def test_month_in_an_unusual_but_unambiguous_format_is_read(tmp_path: Path, spelling: str) -> None:
    text = "\n".join([HEADER, *good()]) + "\n"
    made = parsed(zipped(tmp_path, MONTH, DATES[spelling](text)), MONTH)
    assert volumes(made) == [280] * 24
    assert (made.rejected, made.nulled) == ({}, {})
