"""Madrid's stand-in: the catalogue, the files, and clock changes."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from city_data.sandbox import Sandbox, write_madrid_month
from city_data.sandbox.madrid import last_listed_day
from city_data.sandbox.publication import Publication
from city_data.sandbox.traffic import sensors
from city_data.window import Month
from city_data_tests.sandbox.conftest import AS_OF, Call

PACKAGE = "https://datos.madrid.es/api/3/action/package_show?id=208627-0-transporte-ptomedida-historico"


def table(body: bytes) -> pl.DataFrame:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        (name,) = archive.namelist()
        return pl.read_csv(archive.read(name), separator=";", infer_schema=False)


def month_table(folder: Path, month: str, points: int = 24) -> pl.DataFrame:
    file = folder / "month.zip"
    write_madrid_month(file, Month.parse(month), points)
    return table(file.read_bytes())


def test_catalogue_names_months_in_the_description_and_not_in_the_id(call: Call) -> None:
    package = call(PACKAGE).json()["result"]
    words = {entry["description"]: entry for entry in package["resources"]}
    assert len(words) == package["num_resources"] == 31
    assert words["Histórico de datos del tráfico. Octubre 2026"]["url"].endswith("/10-2026.zip")
    assert "2024" not in words["Histórico de datos del tráfico. Octubre 2024"]["url"]
    assert "Histórico de datos del tráfico. Diciiembre 2025" in words
    months = [words[f"Histórico de datos del tráfico. {name} 2025"] for name in ("Enero", "Abril", "Mayo", "Agosto")]
    numbers = [int(entry["id"].split("-")[1]) for entry in months]
    assert numbers != sorted(numbers)


def test_unknown_package_is_a_ckan_error(call: Call) -> None:
    answer = call("https://datos.madrid.es/api/3/action/package_show?id=other")
    assert (answer.status_code, answer.json()["success"]) == (404, False)


def test_download_is_a_whole_zip_with_length_date_and_resume(call: Call) -> None:
    resources = call(PACKAGE).json()["result"]["resources"]
    url = next(entry["url"] for entry in resources if entry["description"].endswith("Octubre 2026"))
    whole = call(url)
    assert whole.headers["content-length"] == str(len(whole.content))
    assert whole.headers["last-modified"] == "Sat, 07 Nov 2026 00:00:00 GMT"
    with zipfile.ZipFile(io.BytesIO(whole.content)) as archive:
        assert archive.namelist() == ["10-2026.csv"]
        assert archive.testzip() is None
    rest = call(url, headers={"Range": "bytes=1000-"})
    assert (rest.status_code, rest.content) == (206, whole.content[1000:])


def test_the_open_month_is_the_beginning_of_the_month(call: Call, tmp_path: Path) -> None:
    resources = call(PACKAGE).json()["result"]["resources"]
    url = next(entry["url"] for entry in resources if entry["url"].endswith("/11-2026.zip"))
    open_month, whole = table(call(url).content), month_table(tmp_path, "2026-11")
    assert open_month["fecha"].max() == "2026-11-22 23:45:00"
    assert open_month.equals(whole.filter(pl.col("fecha") < "2026-11-23"))


def test_bytes_are_the_same_at_every_call(tmp_path: Path) -> None:
    for name in ("one.zip", "two.zip"):
        write_madrid_month(tmp_path / name, Month(2025, 2), 24)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


@pytest.mark.parametrize(
    ("month", "rows", "stamps_of_two_o_clock"), [("2026-03", 2972, 30), ("2025-10", 2980, 31), ("2026-05", 2976, 31)]
)
def test_clock_changes_are_local(tmp_path: Path, month: str, rows: int, stamps_of_two_o_clock: int) -> None:
    frame = month_table(tmp_path, month)
    sizes = Counter(frame.group_by("id").len()["len"].to_list())
    assert max(sizes) == rows
    assert sizes[rows] > 10
    first = next(group for _, group in frame.group_by("id", maintain_order=True) if len(group) == rows)
    at_two = first.filter(pl.col("fecha").str.ends_with("02:00:00"))
    assert at_two["fecha"].n_unique() == stamps_of_two_o_clock
    doubled = first.filter(pl.col("fecha").is_duplicated())
    assert doubled["fecha"].n_unique() == (4 if rows == 2980 else 0)


def test_rows_have_the_irregularities_of_the_city_s_files(tmp_path: Path) -> None:
    file = tmp_path / "month.zip"
    write_madrid_month(file, Month(2026, 9), 200)
    with zipfile.ZipFile(file) as archive:
        head = archive.read("09-2026.csv")[:300].decode().split("\r\n")
    assert head[0] == '"id";"fecha";"tipo_elem";"intensidad";"ocupacion";"carga";"vmed";"error";"periodo_integracion"'
    assert head[1].startswith('1001;"2026-09-01 00:00:00";"M30";"')
    frame = table(file.read_bytes())
    assert frame["id"].cast(pl.Int64).is_sorted()
    assert set(frame["error"].unique()) == {"N", "E", "S", ""}
    flow = frame["intensidad"]
    assert (flow == "NaN").any()
    assert (flow == "-1").any()
    assert (flow == "27943").any()
    assert frame["id"].n_unique() < 200  # some points have no row at all


def test_series_are_plausible(tmp_path: Path) -> None:
    may, august = (month_table(tmp_path, month) for month in ("2026-05", "2026-08"))

    def mean(frame: pl.DataFrame, hour: str) -> float:
        clean = frame.filter(pl.col("error") == "N", pl.col("tipo_elem") == "URB")
        chosen = clean.filter(pl.col("fecha").str.slice(11, 2) == hour)["intensidad"].cast(pl.Float64)
        return float(chosen.filter(chosen >= 0).mean())  # type: ignore[arg-type]

    assert mean(may, "08") > 3 * mean(may, "03")
    assert mean(august, "08") < 0.85 * mean(may, "08")


def test_sensor_network_grows_over_time() -> None:
    before, after = (set(sensors(Month(year, 9), 5000).ids.tolist()) for year in (2024, 2026))
    assert before < after
    assert (len(before), len(after)) == (4520, 5000)


@pytest.mark.parametrize(
    ("as_of", "last"), [("2026-11-02", None), ("2026-11-03", 1), ("2026-12-01", 29), ("2026-12-07", 30)]
)
def test_month_is_listed_after_its_lag(as_of: str, last: int | None) -> None:
    moment = datetime.fromisoformat(as_of).replace(tzinfo=UTC)
    day = last_listed_day(Publication.at(moment), Month(2026, 11))
    assert (day and day.day) == last
    closed = Publication.at(moment, list_open_month=False)
    assert last_listed_day(closed, Month(2026, 11)) == (day if last == 30 else None)


def test_months_can_be_withheld(sandbox: Sandbox, call: Call) -> None:
    sandbox.publication.unpublished.add(Month(2026, 10))
    try:
        words = [entry["description"] for entry in call(PACKAGE).json()["result"]["resources"]]
    finally:
        sandbox.publication.unpublished.clear()
    assert not any(text.endswith("Octubre 2026") for text in words)
    later = Publication.at(lambda: AS_OF + timedelta(days=31))
    assert last_listed_day(later, Month(2026, 11)) is not None
