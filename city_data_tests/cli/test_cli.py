"""The commands as people run them, in processes of their own, over a home of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from city_data.local.embedded import free_port

TOWN = {
    "city_id": "town",
    "name": "Town",
    "country": "ES",
    "latitude": 40.4,
    "longitude": -3.7,
    "radius_km": 30,
    "timezone": "Europe/Madrid",
    "enabled": True,
    "weather": {"provider": "open_meteo"},
}


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """A registry of one city and one dataset, so that a whole window takes seconds."""
    cities = tmp_path / "cities.yaml"
    cities.write_text(yaml.safe_dump({"cities": [TOWN]}))
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("CITY_DATA_", "AEMET", "ENABLED"))
    }
    return {
        **kept,
        "CITY_DATA_HOME": str(tmp_path / "home"),
        "CITY_DATA_CITIES": str(cities),
        "API_PORT": str(free_port()),
        "UI_PORT": str(free_port()),
        "COLUMNS": "160",
        "PYTHONUNBUFFERED": "1",
    }


def command(variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "city_data.cli", *arguments]
    return subprocess.run(line, env=variables, capture_output=True, text=True, check=False, timeout=150)


def left_behind(home: str) -> list[str]:
    """Processes that still work in the home."""
    return [
        " ".join(process.info["cmdline"])
        for process in psutil.process_iter(["cmdline", "status"])
        if any(home in part for part in process.info["cmdline"] or [])
    ]


@pytest.mark.timeout(300)
def test_demo_then_the_other_commands(variables: dict[str, str]) -> None:
    home = variables["CITY_DATA_HOME"]
    demo = command(variables, "demo", "--once")
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "25 of 25 months done" in demo.stdout
    assert "24 of 24" in demo.stdout
    assert "ready after" in demo.stdout
    assert left_behind(home) == []

    summary = command(variables, "status")
    assert "24 of 24" in summary.stdout
    assert "every month: city-data status --city town" in summary.stdout
    status = command(variables, "status", "--city", "town")
    assert "24 of 24 complete months held" in status.stdout
    assert status.stdout.count("sandbox:open_meteo") == 25
    doctor = command(variables, "doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert "open_meteo: answers" in doctor.stdout
    month = "2026-09" if "2026-09" in status.stdout else status.stdout.split()[20]
    again = command(variables, "backfill", "--city", "town", "--dataset", "weather", "--from", month, "--to", month)
    assert "1 of 1 months done" in again.stdout, again.stdout + again.stderr
    days = command(variables, "status", "--days", "--from", month, "--to", month)
    assert f"{month}:" in days.stdout, days.stdout + days.stderr
    assert "rows received =" in days.stdout
    assert " temperature " in days.stdout
    replay = command(variables, "replay", "--from", month)
    assert (replay.returncode, "nothing to publish" in replay.stdout) == (0, True), replay.stdout + replay.stderr
    assert "unchanged" in replay.stdout
    expire = command(variables, "expire")
    assert "expiring nothing" in expire.stdout
    moved = command({**variables, "CITY_DATA_HOME": home}, "up")
    assert moved.returncode == 2
    assert "holds a demo platform" in moved.stderr
    assert left_behind(home) == []
    for number in (signal.SIGINT, signal.SIGTERM):
        check_that_it_leaves_no_process(variables, number)


def works(process: psutil.Process) -> bool:
    """Whether it still runs: an orphan that has ended stays listed until the machine's first process looks after it."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def check_that_it_leaves_no_process(variables: dict[str, str], number: int) -> None:
    """Start again over the data that is there, stop it by a signal, and look for its children."""
    line = [sys.executable, "-m", "city_data.cli", "demo"]
    demo = subprocess.Popen(line, env=variables, stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    for said in demo.stdout:
        if "Ctrl-C stops" in said:
            break
    assert httpx.get(f"http://127.0.0.1:{variables['API_PORT']}/health/ready").status_code == 200
    children = psutil.Process(demo.pid).children(recursive=True)
    assert len(children) >= 6
    demo.send_signal(number)
    demo.wait(60)
    demo.stdout.close()
    for _ in range(40):
        children = [child for child in children if works(child)]
        psutil.wait_procs(children, timeout=1)
    assert [" ".join(child.cmdline()) for child in children] == []


def test_a_busy_port_is_said_before_anything_starts(variables: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        demo = command({**variables, "API_PORT": str(port)}, "demo")
    assert demo.returncode == 2
    assert f"port {port} is in use; set API_PORT" in demo.stderr
    assert not Path(variables["CITY_DATA_HOME"]).exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["backfill"], "holds no platform yet"),
        (["status"], "city-data demo"),
    ],
)
def test_commands_without_a_platform_say_how_to_get_one(
    variables: dict[str, str], arguments: list[str], said: str
) -> None:
    done = command(variables, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert not Path(variables["CITY_DATA_HOME"]).exists()
