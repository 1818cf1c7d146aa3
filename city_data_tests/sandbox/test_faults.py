"""Ordered faults are served, counted, and removed."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from city_data.sandbox import Sandbox
from city_data.sandbox.spoil import Spoil
from city_data_tests.sandbox.conftest import Call
from city_data_tests.sandbox.test_madrid import PACKAGE, table
from city_data_tests.sandbox.test_weather import ARCHIVE, KEY, QUESTION, days

OCTOBER = days("2026-10-01", "2026-10-31")


def zip_url(call: Call) -> str:
    resources = call(PACKAGE).json()["result"]["resources"]
    return next(str(entry["url"]) for entry in resources if entry["url"].endswith("/10-2026.zip"))


def test_ordered_status_headers_and_count_are_served(sandbox: Sandbox, call: Call) -> None:
    sandbox.faults.order("/diarios/", status=429, headers={"Retry-After": "7"}, body="slow down", times=2)
    answers = [call(OCTOBER, headers=KEY) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert (answers[0].headers["retry-after"], answers[0].text) == ("7", "slow down")
    assert answers[0].headers["x-city-data-origin"] == "sandbox"


def test_fault_orders_are_accepted_over_http(sandbox: Sandbox, call: Call) -> None:
    orders = f"{sandbox.base_url}/_faults"
    assert httpx.post(orders, json={"path": "package_show", "status": 500}, trust_env=False).status_code == 201
    assert (call(PACKAGE).status_code, call(PACKAGE).content) == (500, b"")
    assert httpx.get(orders, trust_env=False).json() == {"carried_out": sandbox.faults.carried_out}
    assert httpx.delete(orders, trust_env=False).status_code == 204
    assert call(PACKAGE).status_code == 200
    assert httpx.post(orders, json={"path": "(", "what": 1}, trust_env=False).status_code == 422


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_truncation_promises_the_whole_length(sandbox: Sandbox, call: Call, share: float) -> None:
    url = zip_url(call)
    sandbox.faults.order(r"\.zip$", truncate=share, times=1)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        call(url)
    assert zipfile.is_zipfile(io.BytesIO(call(url).content))


def test_delay_outlasts_an_impatient_client(sandbox: Sandbox, call: Call) -> None:
    sandbox.faults.order("package_show", delay=30, times=1)
    with pytest.raises(httpx.ReadTimeout):
        call(PACKAGE, timeout=0.2)
    assert call(PACKAGE).status_code == 200


def test_zip_of_another_month(sandbox: Sandbox, call: Call) -> None:
    url = zip_url(call)
    sandbox.faults.order(r"\.zip$", month="2026-09")
    with zipfile.ZipFile(io.BytesIO(call(url).content)) as archive:
        assert archive.namelist() == ["09-2026.csv"]


def test_foreign_second_step_and_charset(sandbox: Sandbox, call: Call) -> None:
    sandbox.faults.order("/diarios/", datos_host="evil.example", times=1)
    assert call(OCTOBER, headers=KEY).json()["datos"].startswith("https://evil.example/opendata/sh/")
    sandbox.faults.order("/opendata/sh/", charset="utf-16")
    assert call(call(OCTOBER, headers=KEY).json()["datos"]).content.startswith(b"\xff\xfe")


def test_columns_and_rows_of_a_zip(sandbox: Sandbox, call: Call) -> None:
    url = zip_url(call)
    good = table(call(url).content)
    bad: dict[str, Any] = {"bad_values": True, "bad_column": "intensidad"}
    sandbox.faults.order(r"\.zip$", without_column="carga", extra_column="nuevo", duplicates=True, **bad)
    bad = table(call(url).content)
    assert set(good.columns) - set(bad.columns) == {"carga"}
    assert set(bad.columns) - set(good.columns) == {"nuevo"}
    assert len(bad) == 2 * len(good)
    assert {"NaN", "-5"} <= set(bad["intensidad"])


def test_columns_and_rows_of_json(sandbox: Sandbox, call: Call) -> None:
    sandbox.faults.order(
        "/opendata/sh/", without_column="hrMedia", extra_column="new", bad_values=True, duplicates=True
    )
    records: list[dict[str, str]] = json.loads(call(call(OCTOBER, headers=KEY).json()["datos"]).content)
    assert not any("hrMedia" in record for record in records)
    assert all("new" in record for record in records)
    assert records[0] == records[1]
    assert {"NaN", "-1,0"} <= {text for record in records for text in record.values()}
    sandbox.faults.order("/v1/archive", without_column="temperature_2m", duplicates=True)
    question = {"start_date": "2026-10-01", "end_date": "2026-10-01", "hourly": "temperature_2m,precipitation"}
    hourly: dict[str, list[Any]] = call(ARCHIVE, params=QUESTION | question).json()["hourly"]
    assert {name: len(values) for name, values in hourly.items()} == {"time": 48, "precipitation": 48}


def test_without_orders_answers_are_unchanged() -> None:
    assert Spoil().apply(b"\xe9 anything") == b"\xe9 anything"


def test_process_ends_with_its_parent(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "city_data.sandbox", "--port", "0", "--state", str(tmp_path)]
    command += ["--as-of", "2026-11-24T09:00:00Z", "--unpublished", "2026-10"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ.copy()) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        url = started["routes"]["datos.madrid.es"] + PACKAGE.removeprefix("https://datos.madrid.es")
        listed = httpx.get(url, trust_env=False).json()["result"]["resources"]
        assert not any(entry["url"].endswith("/10-2026.zip") for entry in listed)
        process.stdin.close()
        assert process.wait(timeout=20) == 0


def test_busy_port_is_reported(sandbox: Sandbox, tmp_path: Path) -> None:
    port = sandbox.base_url.rpartition(":")[2]
    command = [sys.executable, "-m", "city_data.sandbox", "--port", port, "--state", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert result.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in result.stderr
