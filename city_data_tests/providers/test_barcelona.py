"""Barcelona's files and catalogue: names of months, recorded rows, the month's file found and made sure of."""

from __future__ import annotations

import contextlib
import csv
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from city_data.providers.barcelona_opendata import BarcelonaOpenData, months_of
from city_data.providers.barcelona_opendata.rows import STATES, open_month, read
from city_data.providers.base import NotAvailable, NotYetPublished, Payload, PermanentError, Request, TransientError
from city_data.providers.http import HttpClient, HttpSettings
from city_data.window import Month
from city_data_tests.providers.barcelona_files import BARCELONA, HEADER, parsed, question, states, written
from city_data_tests.providers.wire import Answer, Site
from city_data_tests.sandbox.asking import StillClock

HOST = "opendata-ajuntament.barcelona.cat"
CATALOGUE = f"/{HOST}/data/api/3/action/package_show"
DATASET = f"https://{HOST}/data/dataset/trams/resource"
NAMES = ("Gener", "Febrer", "Marc", "Abril", "Maig", "Juny", "Juliol", "Agost", "Setembre", "Octubre", "Novembre")


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
    with pytest.raises(PermanentError, match="holds no state: all 5 rows say 0"):
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


@pytest.mark.parametrize(
    ("resource", "month"),
    [
        ({"name": "2019_01_Gener_TRAMS_TRAMS"}, "2019-01"),
        ({"name": "2026_01_GENER_TRAMS_TRAMS.csv"}, "2026-01"),
        ({"name": "2024_03_Marc_TRAMS_TRAMS.csv"}, "2024-03"),
        ({"name": "2024_03_març_TRAMS_TRAMS.csv"}, "2024-03"),
        ({"name": "2021_09_Setembe_TRAMS_TRAMS.csv"}, "2021-09"),
        ({"name": "2021_09_Sep_TRAMS_TRAMS.csv"}, "2021-09"),  # the number alone
        ({"name": "Trams", "url": f"{DATASET}/x/download/2025_04_Abril_TRAMS_TRAMS.csv"}, "2025-04"),
        ({"name": "2025_04_Abril_TRAMS_TRAMS", "url": f"https://{HOST}/resources/auto/transit/x.csv"}, "2025-04"),
        ({"name": "TRAMS_TRAMS.dat", "url": f"{DATASET}/x/download"}, None),
        ({"name": "2025_04_Abril_ITINERARIS_ITINERARIS.csv"}, None),
        ({"name": "2025_13_Abril_TRAMS_TRAMS.csv"}, None),
        ({"name": None, "url": None}, None),
    ],
)
def test_month_is_read_from_the_resource_name(resource: dict[str, Any], month: str | None) -> None:
    assert months_of(resource) == ({Month.parse(month)} if month else set())


@given(st.integers(1, 11), st.integers(2017, 2026), st.data())
def test_month_name_in_any_case_or_with_one_typo_is_understood(number: int, year: int, data: st.DataObject) -> None:
    word = NAMES[number - 1]
    place = data.draw(st.integers(1, len(word) - 1))
    slip = data.draw(st.sampled_from([word, word[:place] + word[place - 1 :], word[:place] + word[place + 1 :]]))
    spell = data.draw(st.sampled_from([str.lower, str.upper, str.title, str]))
    assert months_of({"name": spell(f"{year}_{number:02d}_{slip}_TRAMS_TRAMS.csv")}) == {Month(year, number)}


class Portal:
    """A catalogue of the test's own, and the real client."""

    def __init__(self, web: Site, into: Path) -> None:
        self.web, self.into, self.clock = web, into, StillClock()

    def lists(self, *resources: dict[str, str]) -> None:
        self.web.on(CATALOGUE, Answer(json.dumps({"success": True, "result": {"resources": resources}}).encode()))

    def has(self, name: str, *bodies: bytes) -> None:
        self.lists({"name": name, "url": f"https://{HOST}/{name}"})
        self.web.on(f"/{HOST}/{name}", *(Answer(body, headers={"Last-Modified": "yesterday"}) for body in bodies))

    def fetch(self, asked: Request) -> Payload:
        provider = BarcelonaOpenData()
        http = HttpClient(
            provider.name,
            provider.capabilities,
            settings=HttpSettings(attempts=2),
            clock=self.clock,
            routes={HOST: f"{self.web.url}/{HOST}"},
        )
        (payload,) = provider.fetch(asked, http, self.into)
        return payload


@pytest.fixture
def portal(web: Site, tmp_path: Path) -> Portal:
    (tmp_path / "into").mkdir()
    return Portal(web, tmp_path / "into")


GOOD = f"{HEADER}\n1,20230501000054,2,0\n1,20230501010054,2,0\n".encode()
MAY = "2023_05_Maig_TRAMS_TRAMS.csv"


def test_month_file_is_stored_unchanged(portal: Portal) -> None:
    portal.has(MAY, GOOD)
    payload = portal.fetch(question("2023-05"))
    assert (payload.url, payload.media_type, payload.last_modified) == (
        f"https://{HOST}/{MAY}",
        "text/csv",
        "yesterday",
    )
    assert payload.path.read_bytes() == GOOD


def test_calls_are_one_at_a_time_and_three_seconds_apart() -> None:
    limit = BarcelonaOpenData.capabilities.rate_limit
    assert limit.spacing >= 3


def test_a_month_must_be_listed_exactly_once(portal: Portal) -> None:
    one, other = ({"name": MAY, "url": f"https://{HOST}/{n}.csv"} for n in (1, 2))
    portal.lists(one, other)
    with pytest.raises(PermanentError, match=r"barcelona_opendata: barcelona 2023-05: .* 2 times"):
        portal.fetch(question("2023-05"))
    for name, url in (("2023_05_Juny_TRAMS_TRAMS", "x.csv"), (MAY, "2023_06_Juny_TRAMS_TRAMS.csv")):
        portal.lists({"name": name, "url": f"https://{HOST}/{url}"})
        with pytest.raises(PermanentError, match="2023-05 and 2023-06"):
            portal.fetch(question("2023-05"))


def test_unlisted_month_is_not_yet_published_and_later_not_available(portal: Portal) -> None:
    portal.lists({"name": MAY, "url": f"https://{HOST}/1.csv"})
    end = Month(2023, 7).bounds(BARCELONA.timezone)[1]
    for days, kind in ((60, NotYetPublished), (70, NotAvailable)):
        with pytest.raises(kind, match="not among the 1 months"):
            portal.fetch(question("2023-07", end + timedelta(days=days)))


APRIL = "2020_04_Abril_TRAMS_TRAMS.csv"
ZEROS = f"{HEADER}\n1,20200401000054,0,0\n2,20200401000054,0,0\n".encode()


@pytest.mark.parametrize(
    ("body", "said", "soon"),
    [
        (b"", "the file is empty", TransientError),
        (f"{HEADER}\n".encode(), "no rows of the month", NotYetPublished),
        (ZEROS, "all 2 rows say 0, no data", NotYetPublished),
    ],
)
def test_a_month_without_states_is_not_available(portal: Portal, body: bytes, said: str, soon: type[Exception]) -> None:
    """As April and May 2020. While the month can still be filled it is awaited."""
    portal.has(APRIL, body)
    with pytest.raises(NotAvailable, match=f"barcelona_opendata: barcelona 2020-04: .*without a single state.*{said}"):
        portal.fetch(question("2020-04"))
    assert len(portal.web.calls) == 3  # the catalogue, and the file twice
    with pytest.raises(soon):
        portal.fetch(question("2020-04", Month(2020, 4).bounds(BARCELONA.timezone)[1] + timedelta(days=20)))


def test_one_empty_answer_is_retried(portal: Portal) -> None:
    portal.has(MAY, b"", GOOD)
    assert portal.fetch(question("2023-05")).path.read_bytes() == GOOD


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (b"<html>Service unavailable</html>", TransientError, "no CSV but '<html>"),
        (GOOD[:-14], PermanentError, "breaks off: its last row is '1,20230'"),
        (GOOD[:-4], PermanentError, "breaks off"),
        (GOOD.replace(b"estatActual", b"estat"), PermanentError, "lacks estatActual"),
        (GOOD.replace(b"idTram", b"tram"), PermanentError, "lacks idTram"),
        (GOOD.replace(b"202305", b"202304"), PermanentError, "not of the month: of 2 rows 2 have other dates"),
        (GOOD.replace(b"20230501", b"2023-5-1"), PermanentError, "not of the month"),
        (GOOD.replace(b",0\n", b",0,0,0\n"), PermanentError, "breaks off"),
        (GOOD.decode().encode("utf-16"), PermanentError, "lacks idTram"),
    ],
)
def test_file_without_state_rows_is_refused(
    portal: Portal, tmp_path: Path, body: bytes, kind: type[Exception], said: str
) -> None:
    portal.has(MAY, body)
    with pytest.raises(kind, match=f"(?s)barcelona_opendata: barcelona 2023-05: .*{said}"):
        portal.fetch(question("2023-05"))
    with pytest.raises(PermanentError, match="barcelona_opendata: barcelona 2023-05"):
        parsed(written(tmp_path, body), "2023-05")


def test_listed_month_with_a_missing_file_fails_and_names_the_url(portal: Portal) -> None:
    portal.has(MAY, GOOD)
    portal.web.on(f"/{HOST}/{MAY}", Answer(b"<h1>Not Found", 404))
    with pytest.raises(PermanentError, match=f"{MAY} answered 404"):
        portal.fetch(question("2023-05"))


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
        "no_segment": 4, "not_a_time": 3, "outside_month": 2, "not_a_state": 5, "duplicate": 2, "disagreeing": 1,
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
