"""Property test: in any format, encoding, columns, resolution and range, the values equal those selected by SQL."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from city_data.cities import City, Registry
from city_data.columns import Column
from city_data.datasets import DATASETS, DatasetName, expected_stamps
from city_data.frames import canonical
from city_data.store.database import Database
from city_data.store.months import replace_month
from city_data.store.provider_facts import ProviderFacts, record_providers
from city_data.window import Month, day_bounds
from city_data_tests.api.conftest import Load, month_load
from city_data_tests.api.rows import MEDIA, ON_REQUEST, ask, rows_of, selected, selected_days

# Two clock changes of an hour, one of half an hour, and a zone of half an hour.
FIRST = {"Europe/Madrid": Month(2025, 10), "Australia/Lord_Howe": Month(2026, 3), "Asia/Kolkata": Month(2026, 1)}
TEXTS = ['fog, "thick"', "", None, "niebla\nñ", "x" * 50, ",\n", "null"]


def _city(name: str, timezone: str, longitude: float, provider: str) -> City:
    values = {"city_id": name, "name": name, "country": "ES", "latitude": 0.0, "longitude": longitude, "radius_km": 50}
    sources = {
        "weather": {"provider": provider},
        "traffic": {"provider": "madrid_opendata"},
        "calendar": {"provider": "openholidays"},
        "forecast": {"provider": "open_meteo_forecast"},
    }
    return City.model_validate({**values, "timezone": timezone, "enabled": True, **sources})


CITIES = {
    city.timezone: city
    for city in (
        _city("madrid", "Europe/Madrid", 0.0, "aemet"),
        _city("howe", "Australia/Lord_Howe", 30.0, "open_meteo"),
        _city("kolkata", "Asia/Kolkata", 60.0, "open_meteo"),
    )
}


def _is_daily(city: City, dataset: DatasetName) -> bool:
    """Whether the dataset's rows are days in the city."""
    return (DATASETS[dataset].resolution or ("daily" if city.city_id == "madrid" else "hourly")) == "daily"


def _facts(name: str, resolution: str) -> ProviderFacts:
    return ProviderFacts(
        name, "weather", resolution, ["temperature"], None, False, False, 1.0, 1.0, "free", "https://a.b", {}
    )


def _value(column: Column, chance: random.Random) -> Any:
    match column.kind:
        case "number":
            return round(chance.uniform(0, 200), 2)
        case "integer":
            return chance.randint(int(column.low or 0), int(column.high or 0))
        case "flag":
            return chance.random() < 0.5
        case "text":
            return chance.choice(column.allowed or TEXTS)


def _month(city: City, dataset: DatasetName, month: Month, chance: random.Random) -> Any:
    """A month of random values, nulls and texts; some days have too few hours. Of other keys each date has two."""
    known = DATASETS[dataset]
    stamps = expected_stamps(month, city.timezone, "daily" if _is_daily(city, dataset) else "hourly")
    others = chance.sample(known.key_values, min(2, len(known.key_values)))
    keys = [(stamp, *other) for stamp in stamps for other in others]
    columns: dict[str, Any] = {name: [key[n] for key in keys] for n, name in enumerate(known.key)}
    columns |= {"date": pd.DatetimeIndex(columns["date"]), "source": [chance.choice(["a", "b"]) for _ in keys]}
    for column in known.columns:
        missing = chance.choice([0.0, 0.05, 0.3, 1.0])
        columns[column.name] = [None if chance.random() < missing else _value(column, chance) for _ in keys]
    columns["raw_data"] = [chance.choice([None, {"note": 'a "b"\n', "n": {"x": 1}}]) for _ in keys]
    frame = canonical.canonical_frame(pd.DataFrame(columns), known)
    load = month_load("traffic", str(month))
    changes = {"city_id": city.city_id, "timezone": city.timezone, "dataset": dataset, "frame": frame}
    return type(load)(**{**{name: getattr(load, name) for name in load.__dataclass_fields__}, **changes})


@pytest.fixture
def world(database: Database, database_url: str) -> Iterator[TestClient]:
    """Three cities of three time zones, three months of each dataset."""
    chance = random.Random(5)
    record_providers(database, [_facts("aemet", "daily"), _facts("open_meteo", "hourly")])
    for zone, city in CITIES.items():
        for dataset in DATASETS:
            for n in range(3):
                replace_month(database, _month(city, dataset, FIRST[zone] + n, chance))
    registry = Registry(list(CITIES.values()))
    app = create_app(Settings.model_validate({"database_url": database_url, "auth_mode": "none"}), registry)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


QUESTIONS = st.fixed_dictionaries(
    {
        "zone": st.sampled_from(list(CITIES)),
        "dataset": st.sampled_from(list(DATASETS)),
        "format": st.sampled_from(list(MEDIA)),
        "encoding": st.sampled_from(["identity", "gzip", "zstd"]),
        "resolution": st.sampled_from(["native", "native", "hourly", "daily"]),
        "columns": st.none() | st.sets(st.sampled_from([0, 1, 2, 3, -1, -2, -3, -4, "source", "date"]), min_size=1),
        "raw": st.booleans(),
        "ends": st.tuples(st.integers(-100, 2_400), st.integers(0, 2_400)),
        "minutes": st.sampled_from([0, 0, 30, 17]),
        "whole_days": st.booleans(),
    }
)


def test_any_representation_of_any_range_equals_the_tables(world: TestClient, database: Database) -> None:
    counted = {"asked": 0, "filled": 0}

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(QUESTIONS)
    def check(request: dict[str, Any]) -> None:
        counted["filled"] += _check(world, database, request)
        counted["asked"] += 1

    check()
    assert counted["filled"] > counted["asked"] // 3


def _check(client: TestClient, database: Database, request: dict[str, Any]) -> bool:
    city, dataset = CITIES[request["zone"]], request["dataset"]
    start, end, query = _range(request, city)
    is_daily = _is_daily(city, dataset)
    daily = request["resolution"] == "daily" and not is_daily
    query |= {"format": request["format"], "resolution": request["resolution"]}
    if request["columns"] is not None:
        names = [DATASETS[dataset].column_names[c] if isinstance(c, int) else c for c in request["columns"]]
        query["columns"] = ",".join(names)
    if request["raw"]:
        query["include"] = "raw"
    response = ask(client, city, dataset, query, request["encoding"])
    if request["resolution"] == "hourly" and is_daily:
        assert response.status_code == 422
        assert "daily" in response.json()["detail"][0]["msg"]
        return False
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].partition(";")[0] == MEDIA[request["format"]]
    rows = rows_of(request["format"], response.content)
    expected = (selected_days if daily else selected)(database, city, dataset, start, end)
    _same(rows, expected, query, DATASETS[dataset].key, daily)
    if rows and "X-Served-Start" in response.headers:
        assert datetime.fromisoformat(response.headers["X-Served-Start"]) == rows[0]["date"]
        assert datetime.fromisoformat(response.headers["X-Served-End"]) == rows[-1]["date"]
    return bool(rows)


def _range(request: dict[str, Any], city: City) -> tuple[datetime, datetime, dict[str, str]]:
    first = FIRST[city.timezone].bounds(city.timezone)[0]
    start = first + timedelta(hours=request["ends"][0], minutes=request["minutes"])
    end = start + timedelta(hours=request["ends"][1])
    if not request["whole_days"]:
        texts = {"start_date": start.isoformat(), "end_date": end.isoformat()}
        return start, end + timedelta(microseconds=1), texts
    days: list[date] = [moment.astimezone(UTC).date() for moment in (start, end)]
    bounds = [day_bounds(day, city.timezone) for day in days]
    return bounds[0][0], bounds[1][1], {"start_date": str(days[0]), "end_date": str(days[1])}


def _same(
    rows: list[dict[str, Any]],
    expected: list[dict[str, Any]],
    query: dict[str, str],
    key: Sequence[str],
    daily: bool,
) -> None:
    assert [[row[name] for name in key] for row in rows] == [[row[name] for name in key] for row in expected]
    wanted = set(query["columns"].split(",")) | {*key} if "columns" in query else None
    for row, stored in zip(rows, expected, strict=True):
        if wanted is not None:
            assert set(row) == wanted | ({"raw_data"} if "include" in query else set())
        else:
            assert ("hours" in row) == daily
            assert not set(row) & ON_REQUEST
            assert ("raw_data" in row) == ("include" in query)
        for name, value in row.items():
            if name not in stored or (daily and name in ("source", "raw_data", "created_at", "updated_at")):
                assert name in ("id", "location_id", "source", "raw_data", "created_at", "updated_at")
            elif daily and isinstance(value, float) and stored[name] is not None:
                assert value == round(value, 2)  # every stored column has two digits
                assert value == pytest.approx(stored[name], rel=0, abs=0.005 + 1e-9)
            else:
                assert value == stored[name], name
                assert isinstance(value, bool) == isinstance(stored[name], bool), name  # 1 equals true


def _raw(client: TestClient, accept: str) -> tuple[bytes, str | None]:
    city = CITIES["Asia/Kolkata"]
    path = "/api/v1/tenants/00000000-0000-4000-8000-000000000001/external/historical-traffic"
    query = {"latitude": "0", "longitude": str(city.longitude), "start_date": "2026-01-05", "end_date": "2026-03-09"}
    with client.stream("GET", path, params=query, headers={"Accept-Encoding": accept}) as response:
        return b"".join(response.iter_raw()), response.headers.get("content-encoding")


def test_decoders_read_concatenated_zstd_frames_as_one_text(world: TestClient, tmp_path: Path) -> None:
    plain, _ = _raw(world, "identity")
    packed, encoding = _raw(world, "gzip, zstd")
    assert encoding == "zstd"
    assert len(packed) < len(plain) / 4
    with zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as reader:
        assert reader.read() == plain
    assert (
        ask(
            world, CITIES["Asia/Kolkata"], "traffic", {"start_date": "2026-01-05", "end_date": "2026-03-09"}, "zstd"
        ).content
        == plain
    )
    member, _ = _raw(world, "gzip")
    assert zlib.decompress(member, wbits=31) == plain


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("zstd;q=0, gzip;q=0.1", "gzip"),
        ("*", "gzip"),
        ("identity, gzip;q=0.5", None),
        ("br", None),
        ("", None),
        ("gzip;q=nonsense", None),
    ],
)
def test_encoding_with_the_highest_quality_is_chosen(
    client: TestClient, load: Load, accept: str, chosen: str | None
) -> None:
    load("traffic", "2025-10")
    madrid = _madrid(accept, client)
    assert madrid.headers.get("content-encoding") == chosen


def _madrid(encoding: str, client: TestClient, **query: str) -> Any:
    here = {"latitude": "40.42", "longitude": "-3.70", "start_date": "2025-10-03", "end_date": "2025-10-31"}
    path = "/api/v1/tenants/00000000-0000-4000-8000-000000000001/external/historical-traffic"
    return client.get(path, params=here | query, headers={"Accept-Encoding": encoding})
