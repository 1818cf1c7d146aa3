"""The Python client against the reader, over real HTTP: frames, retries, the cache on disk, the rollout's switch."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from city_data_client import (
    AsyncCityData,
    CityData,
    Forbidden,
    InvalidRequest,
    NotCovered,
    Retries,
    ServiceUnavailable,
    UnexpectedAnswer,
)
from city_data_client.cache import DiskCache, Kept
from city_data_client.frames import frame_of

from city_data.local.embedded import free_port
from city_data_tests.clients.conftest import QUICK, Service

ROOT = Path(__file__).parents[2]
HERE = {"latitude": 40.42, "longitude": -3.70}
OCTOBER = {**HERE, "start": date(2026, 10, 1), "end": date(2026, 10, 31)}


def test_traffic_is_a_typed_frame_on_aware_times(service: Service, client: CityData) -> None:
    service.load("traffic", "2026-10")
    frame = client.traffic(**OCTOBER)
    assert len(frame) == 745
    assert isinstance(frame.index, pd.DatetimeIndex)
    assert str(frame.index.tz) == "UTC"
    assert frame.index[0] == pd.Timestamp("2026-09-30T22:00:00Z")
    assert frame["traffic_volume"].dtype == "float64"
    assert frame["traffic_volume"].isna().sum() == 74
    assert frame["pedestrian_count"].dtype == "float64"  # all missing, and yet a number
    assert frame["congestion_level"].cat.categories.tolist() == ["low", "medium", "high", "severe"]
    assert frame.attrs["city_id"] == "madrid"
    assert frame.attrs["coverage"] == pytest.approx(0.9)
    assert frame.attrs["distance_km"] < 1


def test_weather_cities_and_availability(service: Service, client: CityData) -> None:
    service.load("weather", "2026-10")
    frame = client.weather(**OCTOBER)
    assert len(frame) == 31
    assert str(frame["created_at"].dtype) == "datetime64[us, UTC]"
    assert frame["description"].dtype == "string"
    cities = client.cities()
    assert cities.loc["madrid", "country"] == "ES"
    assert client.availability("madrid")["weather_record_count"] == 31


@pytest.mark.parametrize("arrow", [True, False])
def test_training_frame_is_typed_and_marks_missing_values(
    service: Service, client: CityData, monkeypatch: pytest.MonkeyPatch, arrow: bool
) -> None:
    if not arrow:
        monkeypatch.setattr("city_data_client.frames.find_spec", lambda _: None)
    for dataset in ("weather", "traffic", "calendar"):
        service.load(dataset, "2026-10")
    frame = client.training_frame(**{**OCTOBER, "end": date(2026, 11, 1)})
    assert service.faulty.statuses[-1] == 200
    assert ("arrow" in service.faulty.asked[-1][2]["accept"]) is arrow
    assert len(frame) == 32
    assert str(frame.index.dtype) == "datetime64[us, UTC]"
    assert frame["local_date"].tolist() == list(pd.date_range("2026-10-01", "2026-11-01"))
    assert frame["temperature"].tolist()[:3] == [0.0, 1.0, 2.0]
    assert {str(frame[name].dtype) for name in frame if name.endswith("_missing")} == {"bool"}
    assert (frame["temperature"].isna() == frame["temperature_missing"]).all()
    assert frame["traffic_volume_missing"].tolist() == [False] * 31 + [True]
    assert (frame["humidity"].dtype, str(frame["weekday"].dtype)) == ("float64", "Int64")
    assert {str(frame[name].dtype) for name in ("is_weekend", "school_free")} == {"boolean"}
    assert {str(frame[name].dtype) for name in ("days_to_holiday", "weather_lead_days")} == {"Int64"}
    assert str(frame["is_bridge_day"].dtype) == "boolean"
    assert frame["days_to_holiday"].tolist()[10:13] == [1, 0, 20]
    assert (frame["is_weekend"].iloc[:31] == (frame["weekday"].iloc[:31] >= 5)).all()
    assert frame["is_weekend_missing"].tolist() == [False] * 31 + [True]
    assert frame["public_holiday"].dropna().tolist() == ["Fiesta Nacional de España"]
    assert frame.attrs["snapshot_id"].startswith("1~madrid~weather.2026-10.1~traffic.2026-10.1~calendar.2026-10.1~")
    assert frame.attrs["missing_months"] == "weather/2026-11,traffic/2026-11,calendar/2026-11"
    assert frame.attrs["weather_coverage"] < 0.9
    service.load("weather", "2026-10", at=datetime(2026, 11, 2, tzinfo=UTC), add=50.0)
    again = client.training_frame(**{**OCTOBER, "end": date(2026, 11, 1)}, version=frame.attrs["snapshot_id"])
    pd.testing.assert_frame_equal(again, frame)
    hours = client.training_frame(**OCTOBER, resolution="hourly")
    assert len(hours) == 745
    assert hours["temperature"].iloc[0] == 50.0
    assert hours["hour"].tolist()[:3] == [0, 1, 2]
    parts = client.training_frame(**OCTOBER, resolution="dayparts")
    assert parts["daypart"].dtype == "string"
    assert parts["daypart"].tolist()[:2] == ["night", "morning"]
    with pytest.raises(ValueError, match="all its columns"):
        client.training_frame(**OCTOBER, columns=["temperature"])


def test_program_of_the_readme_runs(service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    service.load("weather", "2026-10")
    service.load("traffic", "2026-10")
    monkeypatch.setenv("CITY_DATA_CLIENT_CACHE", str(tmp_path))
    readme = (ROOT / "api" / "clients" / "python" / "README.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    names: dict[str, Any] = {}
    exec(program.replace("http://127.0.0.1:8000", service.url), names)
    assert names["traffic"].attrs["coverage"] == pytest.approx(0.9 * 745 / 17521, rel=0.01)
    assert service.faulty.statuses == [200] * 9


def test_async_client_returns_the_same_frames(service: Service, client: CityData, tmp_path: Path) -> None:
    service.load("traffic", "2026-10")

    async def read() -> tuple[pd.DataFrame, pd.DataFrame]:
        async with AsyncCityData(service.url, cache=tmp_path / "other", retries=QUICK) as awaited:
            service.faulty.errors = [(503, {})]
            return await awaited.traffic(**OCTOBER), await awaited.cities()

    traffic, cities = asyncio.run(read())
    pd.testing.assert_frame_equal(traffic, client.traffic(**OCTOBER))
    pd.testing.assert_frame_equal(cities, client.cities())


def test_unchanged_response_is_not_downloaded_again(service: Service, client: CityData) -> None:
    service.load("traffic", "2026-10")
    first, second = client.traffic(**OCTOBER), client.traffic(**OCTOBER)
    pd.testing.assert_frame_equal(first, second)
    assert service.faulty.statuses == [200, 304]
    service.load("traffic", "2026-10", at=datetime(2026, 11, 2, tzinfo=UTC), add=1000.0)
    third = client.traffic(**OCTOBER)
    assert service.faulty.statuses == [200, 304, 200]
    assert (third["traffic_volume"].dropna() == first["traffic_volume"].dropna() + 1000).all()


def test_damaged_or_full_cache_costs_one_request_only(service: Service, client: CityData, tmp_path: Path) -> None:
    service.load("traffic", "2026-10")
    first = client.traffic(**OCTOBER)
    (file,) = (tmp_path / "answers").glob("*.answer")
    file.write_bytes(file.read_bytes()[:-10])
    pd.testing.assert_frame_equal(client.traffic(**OCTOBER), first)
    assert service.faulty.statuses == [200, 200]
    small = DiskCache(tmp_path / "small", most_bytes=1500)
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "gone.answer").symlink_to("nowhere")  # as one that another process has just forgotten
    for n in range(5):
        small.put(str(n), Kept({"etag": str(n)}, b"x" * 500))
    assert small.get("0") is None
    assert small.get("4") is not None
    assert sum(file.stat().st_size for file in (tmp_path / "small").iterdir() if file.exists()) <= 1500


def test_unavailable_service_is_retried(service: Service, client: CityData) -> None:
    service.load("traffic", "2026-10")
    service.faulty.errors = [(503, {"Retry-After": "0"}), (429, {}), (502, {})]
    assert len(client.traffic(**OCTOBER)) == 745
    assert service.faulty.statuses == [503, 429, 502, 200]
    service.faulty.errors = [(503, {})] * 9
    with pytest.raises(ServiceUnavailable, match="503: ordered"):
        client.traffic(**OCTOBER)
    assert len(service.faulty.errors) == 9 - QUICK.attempts


def test_retry_waits_follow_retry_after_up_to_a_limit() -> None:
    import httpx

    told = httpx.Response(503, headers={"Retry-After": "7"})
    assert Retries().wait(0, told) == 7
    assert Retries(longest_wait=3).wait(0, told) == 3
    assert 0.25 <= Retries().wait(0, None) <= 0.75
    assert Retries().wait(9, None) == 30


def test_errors_are_typed_and_name_a_remedy(service: Service, client: CityData) -> None:
    with pytest.raises(NotCovered, match="nearest is"):
        client.traffic(latitude=0.0, longitude=0.0, start="2026-10-01", end="2026-10-02")
    with pytest.raises(InvalidRequest, match="end_date") as caught:
        client.traffic(**HERE, start="2026-10-02", end="2026-10-01")
    assert caught.value.problems
    with pytest.raises(NotCovered, match="atlantis"):
        client.availability("atlantis")
    with pytest.raises(ValueError, match="time zone"):
        client.traffic(**HERE, start=datetime(2026, 10, 1, 6), end="2026-10-02")
    service.faulty.errors = [(401, {})]
    with pytest.raises(Forbidden):
        client.cities()
    service.faulty.errors = [(418, {})]
    with pytest.raises(UnexpectedAnswer, match="418"):
        client.cities()
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        CityData(f"http://127.0.0.1:{free_port()}", cache=False, retries=QUICK).cities()
    with pytest.raises(UnexpectedAnswer, match="text/html"):
        frame_of({"content-type": "text/html"}, b"<html>")


def test_token_is_sent_and_never_stored(service: Service, tmp_path: Path) -> None:
    service.load("traffic", "2026-10")
    with CityData(service.url, "canary-token", cache=tmp_path / "answers", retries=QUICK) as client:
        client.traffic(**OCTOBER)
    _, _, headers = service.faulty.asked[-1]
    assert headers["authorization"] == "Bearer canary-token"
    assert all(b"canary" not in file.read_bytes() for file in (tmp_path / "answers").iterdir())


def test_rollout_switch_requests_the_deprecated_routes(
    service: Service, client: CityData, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.load("weather", "2026-10")
    expected = client.weather(**OCTOBER)
    monkeypatch.setenv("USE_OPTIMIZED_EXTERNAL_ENDPOINTS", "false")
    with CityData(service.url, cache=False, retries=QUICK) as old:
        frame = old.weather(**OCTOBER)
    method, path, _ = service.faulty.asked[-1]
    assert (method, path.endswith("/external/operations/weather/historical")) == ("POST", True)
    pd.testing.assert_frame_equal(frame, expected, check_exact=True)


def test_progress_is_reported(service: Service) -> None:
    service.load("traffic", "2026-10")
    told: list[tuple[int, int | None]] = []
    with CityData(service.url, cache=False, progress=lambda got, of: told.append((got, of))) as client:
        client.traffic(**OCTOBER)
    assert told
    assert told[-1][0] == told[-1][1]


def test_client_installs_without_the_platform(tmp_path: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    package = tmp_path / "package"
    subprocess.run(["cp", "-r", str(ROOT / "api" / "clients" / "python"), str(package)], check=True)
    subprocess.run([*install, "--target", str(tmp_path / "site"), str(package)], check=True, capture_output=True)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import city_data_client;"
        "print(city_data_client.__file__); print(*{n.partition('.')[0] for n in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "site")], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    file, modules = done.stdout.splitlines()
    assert file.startswith(str(tmp_path))
    assert not {"city_data", "api", "dagster", "sqlalchemy"} & set(modules.split())
