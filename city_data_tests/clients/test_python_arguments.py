"""What callers may pass to the Python client, what it refuses before anything is sent, and which frames come out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from city_data_client import CityData, InvalidRequest, NotCovered, Retries, UnknownTenant
from city_data_client.arguments import query_of
from city_data_client.errors import error_of
from city_data_client.frames import cities_frame

from city_data.datasets import DATASETS
from city_data_tests.clients.conftest import Service

HERE = {"latitude": 40.42, "longitude": -3.70}
OCTOBER = {**HERE, "start": date(2026, 10, 1), "end": date(2026, 10, 31)}


@pytest.fixture
def client(service: Service, tmp_path: Path) -> Iterator[CityData]:
    with CityData(service.url, cache=False, retries=Retries(backoff=0.001)) as opened:
        yield opened


@pytest.mark.parametrize(
    "day",
    [
        "2026-10-31",
        "2026-10",
        date(2026, 10, 31),
        datetime(2026, 10, 31),
        pd.Timestamp("2026-10-31"),
        np.datetime64("2026-10-31"),
        np.datetime64("2026-10-31T00:00", "ns"),
        np.datetime64("2026-10"),
        pd.Period("2026-10-31", "D"),
        pd.Period("2026-10", "M"),
        pl.Series([date(2026, 10, 31)])[0],
        pl.Series([datetime(2026, 10, 31)])[0],
    ],
    ids=lambda value: type(value).__name__,
)
def test_days_of_every_library_name_the_same_day(day: object) -> None:
    assert query_of({"start": "2026-10-01", "end": day})["end_date"] == "2026-10-31"


def test_aware_times_keep_their_zone() -> None:
    moment = datetime(2026, 10, 1, 6, tzinfo=UTC)
    assert query_of({"start": moment, "end": pd.Timestamp(moment)})["end_date"] == "2026-10-01T06:00:00+00:00"


@pytest.mark.parametrize(
    "time",
    [
        datetime(2026, 10, 1, 6),
        pd.Timestamp("2026-10-01 06:00"),
        pd.NaT,
        np.datetime64("NaT"),
        np.datetime64("NaT", "M"),
    ],
)
def test_time_of_no_one_meaning_is_refused(time: object) -> None:
    with pytest.raises(ValueError, match="no time"):
        query_of({"start": time, "end": "2026-10-02"})


@pytest.mark.parametrize(
    "columns", ["temperature,humidity", ["temperature", "humidity"], ("temperature", "humidity"),
                pd.Index(["temperature", "humidity"]), {"temperature": 1, "humidity": 2}.keys()]
)  # fmt: skip
def test_any_sequence_of_columns_is_taken(columns: object) -> None:
    assert (
        query_of({"start": "2026-10-01", "end": "2026-10-02", "columns": columns})["columns"] == "temperature,humidity"
    )


def test_unknown_keyword_names_the_nearest(client: CityData) -> None:
    with pytest.raises(TypeError, match="did you mean 'resolution'"):
        client.weather(**OCTOBER, resoluton="daily")  # type: ignore[call-overload]
    with pytest.raises(InvalidRequest, match=r"query.start_date: not an ISO 8601 date"):
        client.weather(**HERE, start="2026-13", end="2026-12")
    with pytest.raises(TypeError, match="missing: end"):
        client.weather(**HERE, start="2026-10-01")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="'pandas' or 'polars'"):
        client.weather(**OCTOBER, to="spark")  # type: ignore[call-overload]


@pytest.mark.parametrize("url", ["localhost:8000", "city-data.example", "//city-data.example", "http://", ""])
def test_address_without_a_scheme_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="must begin with http"):
        CityData(url)


def test_deprecated_routes_refuse_what_they_cannot_answer(service: Service) -> None:
    with CityData(service.url, cache=False, optimized=False) as old, pytest.raises(ValueError, match="know no columns"):
        old.weather(**OCTOBER, columns=["temperature"])


@pytest.mark.parametrize("arrow", [True, False])
@pytest.mark.parametrize("dataset", list(DATASETS))
def test_empty_answer_keeps_columns_and_types(
    service: Service, client: CityData, monkeypatch: pytest.MonkeyPatch, dataset: str, arrow: bool
) -> None:
    service.load(dataset, "2026-10")
    full = client.history(dataset, **OCTOBER)
    if not arrow:
        monkeypatch.setattr("city_data_client.frames.find_spec", lambda _: None)
    empty = client.history(dataset, **HERE, start="2026-09-01", end="2026-09-30")
    assert len(empty) == 0
    pd.testing.assert_frame_equal(empty, full.iloc[:0])
    assert empty.attrs["city_id"] == "madrid"
    assert empty.attrs["missing_months"]


def test_service_without_cities_keeps_their_columns_and_types(client: CityData) -> None:
    pd.testing.assert_frame_equal(cities_frame([]), client.cities().iloc[:0])


def test_polars_frame_has_the_same_cells(service: Service, client: CityData) -> None:
    service.load("traffic", "2026-10")
    frame = client.traffic(**OCTOBER, to="polars")
    expected = client.traffic(**OCTOBER)
    assert isinstance(frame, pl.DataFrame)
    assert frame["date"].dtype == pl.Datetime("us", "UTC")
    assert frame["traffic_volume"].null_count() == 74
    assert frame["traffic_volume"].sum() == pytest.approx(expected["traffic_volume"].sum())
    assert client.attributes == expected.attrs


def test_another_tenants_path_is_no_lack_of_coverage() -> None:
    import httpx

    request = httpx.Request("GET", "http://127.0.0.1/api/v1/tenants/t/external/historical-weather")

    def error(detail: str) -> Exception:
        return error_of(httpx.Response(404, json={"detail": detail}, request=request))

    assert isinstance(error("Tenant 1234 does not exist for this token."), UnknownTenant)
    assert isinstance(error("The tenant service does not know tenant 1234."), UnknownTenant)
    assert isinstance(error("City 'atlantis' is not enabled; enabled: madrid."), NotCovered)
