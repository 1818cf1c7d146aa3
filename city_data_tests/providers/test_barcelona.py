"""Barcelona's files: recorded rows, other datasets' files, bytes of any kind, and rows rejected by reason."""

from __future__ import annotations

import contextlib
import csv
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from city_data.providers.barcelona_opendata.rows import STATES, open_month, read
from city_data.providers.base import PermanentError
from city_data.window import Month
from city_data_tests.providers.barcelona_files import GOOD, HEADER, parsed, states, written


def test_recorded_rows_are_read(recorded: Path, tmp_path: Path) -> None:
    told = json.loads((recorded / "barcelona" / "trams_observed_rows.json").read_bytes())
    assert told["monthly_file_header"] == HEADER
    seen = 0
    for quoted in told["rows"]:
        values = quoted["values"]
        month = Month.parse(f"{values[0][1][:4]}-{values[0][1][4:6]}")
        path = written(tmp_path, "\n".join([HEADER, *(",".join(map(str, row)) for row in values)]) + "\n")
        rows = read(open_month(path, month))
        assert rows.segment.tolist() == [row[0] for row in values]
        assert rows.state.tolist() == [row[2] for row in values]
        clock = [int(row[1][8:10]) * 3600 + int(row[1][10:12]) * 60 + int(row[1][12:]) for row in values]
        assert rows.face.tolist() == clock  # all on the first day
        assert rows.rejected == {}
        seen += rows.total
    assert seen == 11


def test_recorded_zeros_are_missing_data(recorded: Path, tmp_path: Path) -> None:
    told = json.loads((recorded / "barcelona" / "trams_observed_rows.json").read_bytes())
    january, september, august = (quoted["values"] for quoted in told["rows"])
    with pytest.raises(PermanentError, match="has no state: all 5 rows are 0"):
        parsed(states(tmp_path, [row[:3] for row in january]), "2019-01")
    for month, values in (("2019-09", september), ("2026-08", august)):
        made = read(open_month(states(tmp_path, [row[:3] for row in values]), Month.parse(month)))
        assert made.known == len(values)


def test_recorded_segments_and_one_without_geometry_are_read(recorded: Path, tmp_path: Path) -> None:
    text = (recorded / "barcelona" / "transit_relacio_trams_2022.csv").read_text(encoding="utf-8-sig")
    ids = [row["Tram"] for row in csv.DictReader(text.splitlines())]
    assert len(ids) == 527
    stamps = ("20220301000054", "20220301003054", "20220301010000")
    rows = [(segment, stamp, 1) for stamp in stamps for segment in [*ids, "540"]]
    made = parsed(states(tmp_path, rows), "2022-03")
    assert made.provenance["segments"] == 528
    assert made.frame["congestion_level"].tolist() == ["low"]


@pytest.mark.parametrize(
    "name",
    [
        "2025_aforament_detall_valor_excerpt.csv",
        "2025_aforament_descripcio.csv",
        "2021_aforament_descripcio.csv",
        "transit_relacio_trams_2022.csv",
    ],
)
def test_recorded_files_of_other_datasets_are_refused(recorded: Path, name: str) -> None:
    """Mean daily counts, counting points and geometry are no states: no level and no hourly volume is made of them."""
    path = recorded / "barcelona" / name
    with pytest.raises(PermanentError, match=r"barcelona_opendata: barcelona 2025-01: the CSV lacks idTram, data"):
        parsed(path, "2025-01")


def test_recorded_live_feed_line_is_refused(recorded: Path, tmp_path: Path) -> None:
    told = json.loads((recorded / "barcelona" / "trams_observed_rows.json").read_bytes())
    with pytest.raises(PermanentError, match=r"lacks idTram.*begins '1#20180516103551#2#2'"):
        parsed(written(tmp_path, told["live_feed_line"]["line"] + "\n"), "2018-05")


def test_blanks_bom_line_ends_and_new_columns_change_nothing(recorded: Path, tmp_path: Path) -> None:
    """As they are in the city's other files: ids with a leading blank in 2021, a BOM in 2025."""
    points = recorded / "barcelona"
    assert '" 10001"' in (points / "2021_aforament_descripcio.csv").read_text(encoding="utf-8")
    assert (points / "2025_aforament_descripcio.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    lines = [f"{n},202109010{hour}0000,{1 + n % 3},0" for hour in range(3) for n in (10001, 10002)]
    plain = parsed(written(tmp_path, "\n".join([HEADER, *lines]) + "\n"), "2021-09").frame
    quoted = [f'" {line.split(",")[0]}",{line.partition(",")[2]}' for line in lines]
    head = '"idTram","data","estatActual","estatPrevist"'
    for text in (
        "\ufeff" + "\n".join([HEADER, *lines]) + "\n",
        "\r\n".join([HEADER, *lines]) + "\r\n",
        "\n".join([head, *quoted]) + "\n",
        "\ufeff" + "\r\n".join([head, *(f" {line}" for line in lines)]),
        "\n".join([f"{HEADER},nou", *(f"{line},7" for line in lines)]) + "\n",
        "\n".join(["idTram,data,estatActual", *(line[:-2] for line in lines)]) + "\n",
    ):
        made = parsed(written(tmp_path, text), "2021-09")
        assert made.frame.equals(plain)
        assert made.rejected == {}
        assert made.provenance["unknown_fields"] == (["nou"] if "nou" in text else [])


def test_rejected_rows_are_counted_by_reason(tmp_path: Path) -> None:
    rows: list[tuple[object, str, object]] = [
        (1, "20230501000000", 2),
        (1, "20230501010000", 2),
        (1, "20230501020000", 2),
    ]
    odd: list[tuple[object, str, object]] = [
        ("x", "20230501003000", 5), (0, "20230501003000", 5), (-1, "20230501003000", 5), ("", "20230501003000", 5),
        (2, "2023050100300", 5), (2, "20230501256000", 5), (2, "20230501006100", 5),
        (2, "20230430235959", 5), (2, "20230601000000", 5),
        (1, "20230501003000", 7), (1, "20230501003000", -1), (1, "20230501003000", "NaN"), (1, "20230501003000", ""),
        (1, "20230501003000", "2.5"), (1, "20230501000000", 5), (1, "20230501013000", 0),
    ]  # fmt: skip
    made = parsed(states(tmp_path, [*rows, *rows[1:], *odd, *snap(7)]), "2023-05")
    assert made.rejected == {
        "no_segment": 4, "not_a_time": 3, "other_month": 2, "not_a_state": 5, "duplicate": 2, "disagreeing": 1,
        "no_value": 1,
    }  # fmt: skip
    assert made.received == made.used + sum(made.rejected.values())
    assert made.provenance["states"]["fluid"] == 5


def snap(count: int) -> list[tuple[object, str, object]]:
    return [(3, f"2023050100{minute:02d}00", 1) for minute in range(count)]


@given(st.binary(max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    path = written(tmp_path_factory.getbasetemp(), GOOD + body + b"\n" + body)
    with contextlib.suppress(PermanentError):
        assert len(parsed(path, "2023-05").frame) > 0


def test_state_names_follow_the_citys_documentation() -> None:
    assert STATES == ("no_data", "very_fluid", "fluid", "dense", "very_dense", "congested", "closed")
