"""Barcelona's stand-in: the catalogue, the files, and the clocks."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from city_data.providers.base import NotAvailable
from city_data.sandbox import Sandbox
from city_data.sandbox.barcelona_states import snapshots, write_barcelona_month
from city_data.window import Month
from city_data_tests.sandbox.asking import Asked
from city_data_tests.sandbox.conftest import Call

PACKAGE = "https://opendata-ajuntament.barcelona.cat/data/api/3/action/package_show?id=trams"
HEADER = b"idTram,data,estatActual,estatPrevist\n"


def month_bytes(folder: Path, month: str, segments: int = 36) -> bytes:
    file = folder / "month.csv"
    write_barcelona_month(file, Month.parse(month), segments)
    return file.read_bytes()


def test_catalogue_names_months_like_the_city(call: Call) -> None:
    package = call(PACKAGE).json()["result"]
    names = [entry["name"] for entry in package["resources"]]
    assert package["num_resources"] == len(names) == len(set(names)) == 1 + 2 + 30
    assert {"TRAMS_TRAMS.dat", "2020_04_Abril_TRAMS_TRAMS.csv", "2025_02_Febrrer_TRAMS_TRAMS.csv"} <= set(names)
    assert {"2026_01_GENER_TRAMS_TRAMS.csv", "2025_03_marc_trams_trams.csv"} <= set(names)
    assert not any(name.startswith("2026_11") for name in names)  # the open month
    march = next(entry for entry in package["resources"] if entry["name"].startswith("2025_03"))
    assert march["url"].endswith("/download/2025_03_Marc_TRAMS_TRAMS.csv")
    other = call(PACKAGE.replace("trams", "other"))
    assert (other.status_code, other.json()["success"]) == (404, False)


def test_download_has_length_and_date_and_can_be_resumed(call: Call, tmp_path: Path) -> None:
    resources = call(PACKAGE).json()["result"]["resources"]
    url = next(entry["url"] for entry in resources if entry["name"].startswith("2026_10"))
    whole = call(url)
    assert whole.content == month_bytes(tmp_path, "2026-10")
    assert whole.headers["last-modified"] == "Wed, 04 Nov 2026 00:00:00 GMT"
    rest = call(url, headers={"Range": "bytes=1000-"})
    assert (rest.status_code, rest.content) == (206, whole.content[1000:])
    assert call(url.replace("2026_10", "2026_09")).status_code == 404


@pytest.mark.parametrize("month", ["2020-04", "2020-05"])
def test_the_city_s_empty_months_are_listed_and_not_available(sandbox: Sandbox, tmp_path: Path, month: str) -> None:
    with pytest.raises(NotAvailable, match="without a single state"):
        Asked(sandbox, "barcelona_opendata", month).fetch(tmp_path)


def test_rows_have_the_citys_format(tmp_path: Path) -> None:
    assert month_bytes(tmp_path, "2026-09").startswith(HEADER + b"1,20260901000")
    assert month_bytes(tmp_path, "2025-09").startswith(b"\xef\xbb\xbf" + HEADER)
    assert b'\n" 1",2024' in month_bytes(tmp_path, "2024-09")
    text = month_bytes(tmp_path, "2026-09")
    assert text == month_bytes(tmp_path, "2026-09")
    frame = pl.read_csv(text)
    assert set(frame["estatActual"]) == set(range(7))
    assert frame["data"].is_sorted()
    dead = frame.group_by("idTram").agg(pl.col("estatActual").max()).filter(pl.col("estatActual") == 0)
    assert 0 < len(dead) < 12


def test_measurements_have_gaps_and_clock_changes() -> None:
    for month, back in (("2025-10", 1), ("2026-03", 0), ("2026-05", 0)):
        moments = snapshots(Month.parse(month))
        assert (np.diff(moments.second) > 0).all()
        assert np.diff(moments.second).max() > 1800
        stamps = [int(stamp) for stamp in moments.stamps]
        assert sum(later < earlier for earlier, later in pairwise(stamps)) == back
    assert not any(stamp.startswith("2026032902") for stamp in snapshots(Month(2026, 3)).stamps)


def test_levels_show_rush_hours_weekends_and_august(sandbox: Sandbox, tmp_path: Path) -> None:
    may, august = (
        Asked(sandbox, "barcelona_opendata", month).month_of(tmp_path / month).frame.set_index("date")["raw_data"]
        for month in ("2026-05", "2026-08")
    )
    mean = may.map(lambda row: row["mean_state"]).astype(float).tz_convert("Europe/Madrid")
    workday = mean.index.day_of_week < 5
    at = {hour: mean[workday & (mean.index.hour == hour)].mean() for hour in (3, 8)}
    assert at[8] > at[3] + 1
    assert mean[~workday & (mean.index.hour == 8)].mean() < at[8] - 0.5
    assert august.map(lambda row: row["mean_state"]).astype(float).mean() < mean.mean() - 0.1
    assert max(row["closed_share"] or 0 for row in may) > 0
