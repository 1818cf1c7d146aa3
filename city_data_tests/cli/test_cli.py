"""The commands in separate processes, on a temporary home."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest
import yaml
from dagster import DagsterRunStatus
from dagster._core.test_utils import create_run_for_test

from city_data.defs.storage import shared_engine
from city_data.local.embedded import free_port
from city_data.operations.instance import deployed_instance

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
    # Without PYTHONUNBUFFERED: every line has to be flushed by the command itself.
    own = ("CITY_DATA_", "AEMET", "ENABLED", "PYTHONUNBUFFERED")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return {
        **inherited,
        "CITY_DATA_HOME": str(tmp_path / "home"),
        "CITY_DATA_CITIES": str(cities),
        "API_PORT": str(free_port()),
        "UI_PORT": str(free_port()),
        "COLUMNS": "160",
    }


def command(variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "city_data.cli", *arguments]
    return subprocess.run(line, env=variables, capture_output=True, text=True, check=False, timeout=150)


def left_behind(home: str) -> list[str]:
    """Processes that still use the home."""
    return [
        " ".join(process.info["cmdline"])
        for process in psutil.process_iter(["cmdline", "status"])
        if any(home in part for part in process.info["cmdline"] or [])
    ]


@pytest.mark.timeout(300)
def test_demo_then_every_other_command_on_its_home(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    home = variables["CITY_DATA_HOME"]
    demo = command(variables, "demo", "--once")
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "25 of 25 months done" in demo.stdout
    assert demo.stdout.index(f":{variables['UI_PORT']}") < demo.stdout.index("1 of 25 months")
    assert ("warning: running as root" in demo.stdout) == (os.geteuid() == 0)
    assert "24 of 24" in demo.stdout
    assert "ready after" in demo.stdout
    assert left_behind(home) == []

    summary = command(variables, "status")
    assert "24 of 24" in summary.stdout
    assert "every month: city-data status --city town" in summary.stdout
    assert re.search(rf"{re.escape(home)}\s+.*postgres \d[\d.]* MB", summary.stdout), summary.stdout
    status = command(variables, "status", "--city", "town")
    assert "24 of 24 complete months stored" in status.stdout
    assert status.stdout.count("sandbox:open_meteo") == 25
    doctor = command(variables, "doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert "open_meteo: answers" in doctor.stdout
    assert re.search(r"local holidays: not known for \d{4}: town; ", doctor.stdout)
    month = re.findall(r"^\d{4}-\d\d", status.stdout, re.MULTILINE)[-3]
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
    left: list[str] = []

    def before_the_first_signal() -> None:
        check_that_a_city_of_another_platform_is_named(variables)
        left.append(run_without_a_process(Path(home), monkeypatch))

    check_that_a_signal_leaves_no_process(variables, signal.SIGINT, before_the_first_signal)
    lines = check_that_a_signal_leaves_no_process(variables, signal.SIGTERM, lambda: None)
    assert f"run {left[0][:8]} had no process any more and was failed\n" in lines


def run_without_a_process(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run in progress, as a platform that is killed leaves it."""
    recorded = json.loads((home / "platform.json").read_text())["environment"]
    with monkeypatch.context() as patch:
        for name in ("DAGSTER_HOME", "CITY_DATA_DAGSTER_URL"):
            patch.setenv(name, recorded[name])
        with deployed_instance() as instance:
            run = create_run_for_test(instance, job_name="job", status=DagsterRunStatus.STARTED)
    shared_engine(recorded["CITY_DATA_DAGSTER_URL"]).dispose()
    return run.run_id


def check_that_no_line_has_a_secret(home: Path, lines: list[str]) -> None:
    """Neither of the terminal nor of a log: the passwords in addresses, and the providers' keys."""
    environment = json.loads((home / "platform.json").read_text())["environment"]
    secrets = [value for name, value in environment.items() if name.endswith("_API_KEY")]
    secrets += [found for value in environment.values() for found in re.findall(r"://\w*:([^@/]+)@", value)]
    assert len(secrets) >= 5
    logs = [file.read_text(errors="replace") for file in home.glob("**/*.log")]
    assert len(logs) >= 6
    assert [secret for secret in secrets for text in (*lines, *logs) if secret in text] == []


def works(process: psutil.Process) -> bool:
    """Whether it still runs: an orphan that has ended stays listed until the init process reaps it."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def check_that_a_signal_leaves_no_process(
    variables: dict[str, str], number: int, before_it: Callable[[], None]
) -> list[str]:
    """Start again on the existing data, stop it by a signal, and check its children; returns the lines of the start."""
    line = [sys.executable, "-m", "city_data.cli", "demo"]
    demo = subprocess.Popen(line, env=variables, stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    lines = []
    for line_of_demo in demo.stdout:
        lines.append(line_of_demo)
        if "Ctrl-C stops" in line_of_demo:
            break
    check_that_no_line_has_a_secret(Path(variables["CITY_DATA_HOME"]), lines)
    assert httpx.get(f"http://127.0.0.1:{variables['API_PORT']}/health/ready").status_code == 200
    page = f"http://127.0.0.1:{variables['UI_PORT']}/server_info"
    assert [httpx.get(page, headers={"Host": host}).status_code for host in ("localhost", "evil.example")] == [200, 403]
    before_it()
    children = psutil.Process(demo.pid).children(recursive=True)
    assert len(children) >= 6
    demo.send_signal(number)
    demo.wait(60)
    demo.stdout.close()
    for _ in range(40):
        children = [child for child in children if works(child)]
        psutil.wait_procs(children, timeout=1)
    assert [" ".join(child.cmdline()) for child in children] == []
    return lines


def check_that_a_city_of_another_platform_is_named(variables: dict[str, str]) -> None:
    """A backfill of a city that this command's registry has, and that of the running platform has not."""
    cities = Path(variables["CITY_DATA_HOME"]).with_name("more.yaml")
    cities.write_text(yaml.safe_dump({"cities": [TOWN, TOWN | {"city_id": "village", "name": "Village"}]}))
    webserver = f"http://127.0.0.1:{variables['UI_PORT']}"
    asked = command({**variables, "CITY_DATA_CITIES": str(cities)}, "backfill", "--cluster", webserver, "--last", "1")
    assert asked.returncode == 2, asked.stdout + asked.stderr
    assert f"error: the platform at {webserver} does not have weather/village: enable" in asked.stderr
    assert len(asked.stderr.splitlines()) == 1


@pytest.mark.timeout(400)
def test_signal_stops_a_backfill_between_months_and_the_next_one_goes_on(variables: dict[str, str]) -> None:
    folder = Path(variables["CITY_DATA_HOME"])
    folder.mkdir(mode=0o700)
    (folder / "mode").write_text("demo")
    line, left = [sys.executable, "-m", "city_data.cli", "backfill", "--due"], {"25"}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with subprocess.Popen(
            # A suite under nohup would hand its ignored SIGHUP down.
            ["env", "--default-signal=HUP", *line],
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            first = process.stdout.readline()
            total = first.partition(" months")[0].removeprefix("1 of ")
            assert total in left, first + process.stderr.read()
            process.send_signal(number)
            rest, errors = process.stdout.read(), process.stderr.read()
        assert process.returncode == 128 + number, rest + errors
        assert f"stopped by {number.name}" in rest
        assert "failed" not in rest
        summary = re.search(r"(\d+) of (\d+) months done", rest)
        assert summary is not None
        assert summary[2] == total
        unreported = int(total) - int(summary[1])
        # A run that outlasts the stop is canceled, and may have stored its month by then.
        left = {str(unreported), str(unreported - 1)}
        assert left_behind(str(folder)) == []
    end = command(variables, "backfill", "--due")
    assert end.stdout.splitlines()[-1].partition(" months done")[0] in {f"{n} of {n}" for n in left}, end


def test_busy_port_is_refused_before_anything_starts(variables: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        demo = command({**variables, "API_PORT": str(port)}, "demo")
    assert demo.returncode == 2
    assert f"port {port} is in use; set API_PORT" in demo.stderr
    assert not Path(variables["CITY_DATA_HOME"]).exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["backfill"], "holds no platform yet"),
        (["status"], "city-data demo"),
    ],
)
def test_command_without_a_platform_names_the_command_that_makes_one(
    variables: dict[str, str], arguments: list[str], expected: str
) -> None:
    done = command(variables, *arguments)
    assert done.returncode == 2
    assert expected in done.stderr
    assert not Path(variables["CITY_DATA_HOME"]).exists()
