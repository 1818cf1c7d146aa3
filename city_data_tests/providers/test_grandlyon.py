"""Lyon's pedestrians: the schema's recorded tables, changes of clocks, steps, and whole sites."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from city_data.providers.base import PermanentError
from city_data.providers.shared.mobility_counts.channels import Channel, channels_of
from city_data.providers.shared.mobility_counts.measures import MeasureReader
from city_data.providers.shared.mobility_counts.tables import read
from city_data_tests.providers.grandlyon_files import HEADER, ONE, Measure, hourly, parse, value, written
from city_data_tests.providers.wire import RECORDED

FOLDER = RECORDED / "lyon"
CHANNELS = FOLDER / "channels_2026-04.REEXPORTED.csv"
ECO_CHANNELS, ECO_MEASURES = (
    FOLDER / f"schema_{kind}_exemple-valide-eco-compteur.csv" for kind in ("channel", "measure")
)
PLAIN_CHANNELS, PLAIN_MEASURES = (FOLDER / f"schema_{kind}_exemple-valide.csv" for kind in ("channel", "measure"))


def test_recorded_channels_are_counted_as_found() -> None:
    channels = channels_of([read(CHANNELS)])
    kinds = Counter(",".join(sorted(channel.kinds)) for channel in channels.values() if channel)
    assert len(channels) == 1_471
    assert (kinds["PEDESTRIAN"], kinds["BIKE"], kinds["E-SCOOTER"], kinds["CAR"], kinds[""]) == (268, 735, 238, 64, 4)
    pedestrians = [channel for channel in channels.values() if channel and channel.kinds == {"PEDESTRIAN"}]
    assert Counter(channel.step_s for channel in pedestrians) == {3600: 185, 900: 78, 300: 4, None: 1}
    assert len({channel.site for channel in pedestrians}) == 105
    assert channels["69194.00013.02.01"] == Channel("69194.00013.02", frozenset({"PEDESTRIAN"}), 3600)


def test_example_with_short_offsets_gives_the_sites_sums() -> None:
    """The two pedestrian channels of one site, whose night is a row of zeros."""
    month = parse("2021-09", ECO_CHANNELS, ECO_MEASURES)
    assert month.received == 120
    assert month.rejected["other_kind"] == 72  # three of five channels are bicycles'
    assert month.used == 48
    assert month.provenance["panel"] == {"channels": 2, "sites": 1}
    # 353226361 and 353226396 from 2021-09-15T00:00:00+02 on
    rows = [line.split(",") for line in ECO_MEASURES.read_text().splitlines()[1:]]
    by_hour: Counter[str] = Counter()
    for channel, _, start, _, count in rows:
        if channel in ("353226361", "353226396"):
            by_hour[start] += int(count)
    assert len(by_hour) == 24
    for start, count in by_hour.items():
        assert value(month, f"{start}00") == count
    assert value(month, "2021-09-14T21:00Z") is None


def test_example_of_a_list_of_kinds_is_not_pedestrians_alone() -> None:
    assert read(PLAIN_CHANNELS).column("mobility_type") == ["E-SCOOTER,PEDESTRIAN"]
    with pytest.raises(PermanentError, match="none of the 1 channels counts PEDESTRIAN alone"):
        parse("2021-09", PLAIN_CHANNELS, PLAIN_MEASURES)


def test_example_of_quarters_is_read_and_its_empty_count_is_no_value(tmp_path: Path) -> None:
    channels = tmp_path / "channels.csv"
    channels.write_text("\n".join([HEADER, *(f"C-C-0{n}-Baix;C0{n};PEDESTRIAN;900" for n in (1, 2, 3))]) + "\n")
    month = parse("2021-09", channels, PLAIN_MEASURES)
    # 13:15 to 14:00: site 2 counted 0 + 2 + 2, site 3 counted 3 + 5 + 0, each in three quarters of an hour; site 1
    # lacks one of them.
    assert month.rejected == {"no_value": 1}
    assert month.nulled == {"partial_hour:count": 1}
    assert value(month, "2021-09-07T13:00Z") == pytest.approx((4 + 8) * 4 / 3 / 2)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("sites_2026-04.REEXPORTED.csv", "neither channels nor measures"),
        ("schema_channel.json", "no list of values"),
        ("schema_measure.json", "no list of values"),
        ("NOTES.md", "neither channels nor measures"),
    ],
)
def test_recorded_files_of_another_kind_are_refused(name: str, why: str) -> None:
    with pytest.raises(PermanentError, match=f"grandlyon_opendata: lyon 2026-04: {name} has {why}"):
        parse("2026-04", CHANNELS, FOLDER / name)


def test_another_citys_channels_need_nothing_of_lyon() -> None:
    """The reader alone, for another kind of mobility and another zone."""
    channels = channels_of([read(ECO_CHANNELS)])
    bounds = datetime(2021, 9, 14, 22, tzinfo=UTC), datetime(2021, 9, 15, 22, tzinfo=UTC)
    reader = MeasureReader(channels, "BIKE", bounds)
    reader.add(read(ECO_MEASURES))
    reader.intervals.refuse_another_format()
    assert len(reader.intervals.count) == 72
    assert reader.intervals.rejected == {"other_kind": 48}


# The last Sunday of March and of October, and the UTC hours around the change at 01:00 UTC.
SPRING = {2024: "31", 2025: "30", 2026: "29"}
AUTUMN = {2024: "27", 2025: "26", 2026: "25"}


@pytest.mark.parametrize("year", SPRING)
def test_spring_by_hand(tmp_path: Path, year: int) -> None:
    """01:00+01:00 is followed by 03:00+02:00: the local hour 02:00 does not exist."""
    day = f"{year}-03-{SPRING[year]}"
    rows: list[Measure] = [
        ("a", f"{day} 00:00:00+01:00", f"{day} 01:00:00+01:00", 100),
        ("a", f"{day} 01:00:00+01:00", f"{day} 03:00:00+02:00", 200),
        ("a", f"{day} 03:00:00+02:00", f"{day} 04:00:00+02:00", 300),
    ]
    month = parse(f"{year}-03", *written(tmp_path, rows))
    assert month.rejected == {}
    assert [value(month, f"{day}T0{n}:00Z") for n in (0, 1)] == [200.0, 300.0]
    assert value(month, str(pd.Timestamp(f"{day}T00:00Z") - pd.Timedelta(hours=1))) == 100.0
    assert len(month.frame) == int(SPRING[year]) * 24 - 24 + 3


@pytest.mark.parametrize("year", AUTUMN)
def test_autumn_by_hand(tmp_path: Path, year: int) -> None:
    """The local hour 02:00 comes twice, told apart by its offset, also where only an interval's end has the new one."""
    day = f"{year}-10-{AUTUMN[year]}"
    rows: list[Measure] = [
        ("a", f"{day} 01:00:00+02:00", f"{day} 02:00:00+02:00", 100),
        ("a", f"{day} 02:00:00+02:00", f"{day} 02:00:00+01:00", 150),
        ("a", f"{day} 02:00:00+01:00", f"{day} 03:00:00+01:00", 200),
        ("a", f"{day} 03:00:00+01:00", None, 300),
    ]
    month = parse(f"{year}-10", *written(tmp_path, rows))
    assert month.rejected == {}
    assert value(month, str(pd.Timestamp(f"{day}T00:00Z") - pd.Timedelta(hours=1))) == 100.0
    assert [value(month, f"{day}T0{n}:00Z") for n in (0, 1, 2)] == [150.0, 200.0, 300.0]


def test_sites_are_the_sums_of_their_channels(tmp_path: Path) -> None:
    channels = [HEADER, "a;A;PEDESTRIAN;3600", "b;A;PEDESTRIAN;3600", "c;C;PEDESTRIAN;3600", "d;A;BIKE;3600"]
    rows = [*hourly("a", "2026-09-02", [100]), *hourly("b", "2026-09-02", [60]), *hourly("c", "2026-09-02", [30])]
    month = parse("2026-09", *written(tmp_path, [*rows, *hourly("d", "2026-09-02", [999])], channels))
    assert value(month, "2026-09-02T00:00Z") == (100 + 60 + 30) / 2
    assert month.provenance["panel"] == {"channels": 3, "sites": 2}


def test_site_whose_one_direction_falls_silent_does_not_look_like_half_its_pedestrians(tmp_path: Path) -> None:
    """Two equal sites; one direction of the second is silent from the middle of the month on."""
    channels = [HEADER, *(f"{name};{name[0]};PEDESTRIAN;3600" for name in ("a1", "a2", "b1", "b2"))]
    rows = [row for name in ("a1", "a2", "b1") for row in hourly(name, "2026-09-01", [100] * 28 * 24)]
    month = parse("2026-09", *written(tmp_path, [*rows, *hourly("b2", "2026-09-01", [100] * 14 * 24)], channels))
    assert set(month.frame["pedestrian_count"].dropna()) == {200.0}
    assert month.provenance["panel"] == {"channels": 2, "sites": 1}
    assert month.provenance["incomplete_sites"] == 1


def test_channel_that_never_measured_does_not_make_its_site_incomplete(tmp_path: Path) -> None:
    channels = [*ONE, "b;A;PEDESTRIAN;3600", "c;A;PEDESTRIAN;3600"]
    rows = [*hourly("a", "2026-09-01", [50] * 24), *hourly("b", "2026-09-01", [None] * 24)]
    month = parse("2026-09", *written(tmp_path, rows, channels))
    assert set(month.frame["pedestrian_count"].dropna()) == {50.0}
    assert month.rejected == {"no_value": 24}


@pytest.mark.parametrize(
    ("step", "starts", "count", "expected"),
    [(900, ["00", "15", "30", "45"], 5, 20.0), (900, ["00", "15", "45"], 6, 24.0), (900, ["00", "15"], 5, None),
     (300, [f"{n:02d}" for n in range(0, 60, 5)], 2, 24.0), (1800, ["00", "30"], 7, 14.0), (1800, ["30"], 7, None)],
)  # fmt: skip
def test_hour_needs_three_quarters_of_its_time(
    tmp_path: Path, step: int, starts: list[str], count: int, expected: float | None
) -> None:
    rows: list[Measure] = [("a", f"2026-09-02T00:{minute}:00Z", None, count) for minute in starts]
    month = parse("2026-09", *written(tmp_path, rows, [HEADER, f"a;A;PEDESTRIAN;{step}"]))
    assert value(month, "2026-09-02T00:00Z") == expected
    assert month.nulled == ({} if expected else {"partial_hour:count": 1})


def test_rows_of_two_lengths_in_an_hour_are_not_added(tmp_path: Path) -> None:
    quarters: list[Measure] = [
        ("a", "2026-09-02T00:15:00Z", "2026-09-02T00:30:00Z", 5),
        ("a", "2026-09-02T00:30:00Z", "2026-09-02T00:45:00Z", 5),
    ]
    month = parse("2026-09", *written(tmp_path, [*quarters, *hourly("a", "2026-09-02", [40])]))
    assert value(month, "2026-09-02T00:00Z") == 40.0
    assert month.rejected == {"other_step": 2}
