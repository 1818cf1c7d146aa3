"""Snapshot ids: formatting, parsing, and rejecting every other text."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from city_data.datasets import DatasetName
from city_data.store.snapshot_ids import SnapshotId, digest
from city_data.store.versions import Version
from city_data.window import Month

FIRST = Month(2024, 11)
LOADED = datetime(2026, 11, 1, 3, tzinfo=UTC)


def stored_versions(dataset: DatasetName, versions: list[int], first: Month = FIRST) -> list[Version]:
    """A month for each number; 0 is a month without data."""
    return [
        Version("madrid", dataset, first + n, version, f"{version:064x}", LOADED, 744, 1.0)
        for n, version in enumerate(versions)
        if version
    ]


NUMBERS = st.lists(st.integers(0, 3) | st.integers(0, 10**9 - 1), max_size=40)


@given(weather=NUMBERS, traffic=NUMBERS, datasets=st.sampled_from([("weather",), ("traffic",), ("traffic", "weather")]))
def test_id_round_trips(weather: list[int], traffic: list[int], datasets: tuple[DatasetName, ...]) -> None:
    known = {"weather": stored_versions("weather", weather), "traffic": stored_versions("traffic", traffic)}
    snapshot = SnapshotId.of("madrid", {name: known[name] for name in datasets})
    read = SnapshotId.parse(str(snapshot))
    assert read == snapshot
    assert {name: list(months.items()) for name, months in read.months.items()} == {
        name: [(one.month, one.version) for one in known[name]] for name in datasets
    }


def test_runs_of_equal_versions_are_compact() -> None:
    months = stored_versions("traffic", [3, *[1] * 22, 0, 2])
    text = str(SnapshotId.of("madrid", {"traffic": months}))
    assert text == f"1~madrid~traffic.2024-11.3.1x22.0.2~{digest([month.identity for month in months])}"
    nothing = str(SnapshotId.of("madrid", {"traffic": []}))
    assert nothing == "1~madrid~traffic~none"


def test_digest_depends_on_content_and_load_time_not_on_the_number_alone() -> None:
    (one,) = stored_versions("traffic", [1])
    others = [
        replace(one, content_sha256="0" * 64),
        replace(one, loaded_at=LOADED.replace(hour=4)),
        replace(one, version=2),
        replace(one, month=FIRST + 1),
        replace(one, city_id="rome"),
        replace(one, dataset="weather"),
    ]
    assert len({digest([each.identity]) for each in (one, *others)}) == 7
    assert one.identity == replace(one, coverage=0.5).identity


GOOD = "1~madrid~traffic.2024-11.3.1x22.0.2~5f2c9a81d0c34b7e"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "latest",
        GOOD[:-1],
        GOOD.replace("1~", "2~", 1),
        GOOD.replace("madrid", "Madrid"),
        GOOD.replace("traffic", "trams"),
        GOOD.replace("2024-11", "2024-13"),
        GOOD.replace("2024-11", "2024-11-01"),
        GOOD.replace("2024-11", "0000-11"),
        GOOD.replace("2024-11", "9999-11"),
        GOOD.replace(".3.", ".03."),
        GOOD.replace(".3.", ".1."),  # 23 months of version 1 are written as one run
        GOOD.replace(".3.", ".-3."),
        GOOD.replace(".3.", ".0."),
        GOOD.replace(".2~", ".0~"),
        GOOD.replace("1x22", "1x9999"),
        GOOD.replace("1x22", "1x1"),
        GOOD.replace("1x22", ".".join(["1x3000"] * 9)),
        GOOD.replace("~traffic", "~traffic.2024-11.1~traffic"),
        GOOD.replace("~traffic", "~traffic~weather"),
        GOOD.replace("1x22", "٣"),
        GOOD + "\n",
        "1" * 10_000,
    ],
)
def test_invalid_id_is_rejected(text: str) -> None:
    assert str(SnapshotId.parse(GOOD)) == GOOD
    with pytest.raises(ValueError, match="snapshot id"):
        SnapshotId.parse(text)


@given(st.text(max_size=60) | st.text("1~.x-0239madritrfcwehn", max_size=60).map(lambda text: f"1~madrid~{text}~none"))
def test_any_text_is_an_id_or_a_value_error(text: str) -> None:
    try:
        parsed = SnapshotId.parse(text)
    except ValueError:
        return
    assert str(parsed) == text
