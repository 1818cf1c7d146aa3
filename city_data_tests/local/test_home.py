"""The home: who owns it is decided by a lock, its files are private and whole, and leftovers are recognised."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest

from city_data.local import home, platform
from city_data.local.children import kill_leftovers
from city_data.local.embedded import EmbeddedPostgres

_LOCK = "import sys; from pathlib import Path; from city_data.local.home import FileLock\n"
_HOLDER = _LOCK + "FileLock(Path(sys.argv[1])).acquire(); print('held', flush=True); sys.stdin.read()"


def holder(path: Path) -> subprocess.Popen[str]:
    line = [sys.executable, "-c", _HOLDER, str(path)]
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_sizes_are_the_bytes_of_each_part_largest_first(tmp_path: Path) -> None:
    for name, size in (("raw/traffic", 10), ("postgres", 200), ("logs", 0)):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_bytes(bytes(size))
    (tmp_path / "mode").write_text("live")
    (tmp_path / "raw" / "dangling").symlink_to("nowhere")
    assert list(home.sizes(tmp_path).items()) == [("postgres", 200), ("raw", 10), ("logs", 0)]


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    process, lock = holder(tmp_path / "lock"), home.FileLock(tmp_path / "lock")
    assert not lock.acquire()
    assert not lock.acquire(shared=True)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert lock.acquire()
    other = home.FileLock(tmp_path / "lock")
    assert not other.acquire()
    lock.release()
    assert other.acquire(shared=True)


def test_home_and_its_files_are_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o755)
    home.create(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    home.write_private(folder / "file", "old")
    home.write_private(folder / "file", "new")
    assert (folder / "file").read_text() == "new"
    assert stat.S_IMODE((folder / "file").stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_file_keeps_its_old_content_until_the_new_one_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    home.write_private(file, "old")
    with pytest.raises(UnicodeEncodeError):  # in the middle of its writing, as on a full disk
        home.write_private(file, "torn \ud800")
    with file.open() as reader:
        home.write_private(file, "new")
        assert reader.read() == "old"
    assert file.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("state", ["", "{", json.dumps({"pid": 1, "mode": None, "environment": {}})])
def test_state_of_a_home_that_nobody_holds_is_not_believed(tmp_path: Path, state: str) -> None:
    """A torn file, and one whose process id belongs to another process by now."""
    home.write_private(tmp_path / "mode", "live")
    (tmp_path / "platform.json").write_text(state)
    with platform.joined(tmp_path, print) as variables:
        assert variables["CITY_DATA_DATABASE_URL"].startswith("postgresql://postgres:")
        assert stat.S_IMODE((tmp_path / "platform.json").stat().st_mode) == 0o600
        assert json.loads((tmp_path / "platform.json").read_text())["pid"] == os.getpid()
    assert not (tmp_path / "platform.json").exists()


def test_damaged_state_of_a_home_in_use_is_an_error(tmp_path: Path) -> None:
    home.write_private(tmp_path / "mode", "live")
    process = holder(tmp_path / "owner.lock")
    (tmp_path / "platform.json").write_text("{")
    with pytest.raises(platform.LocalError, match=r"platform.json is damaged"), platform.joined(tmp_path, print):
        pass
    process.communicate()


def test_second_platform_of_a_home_is_refused(tmp_path: Path) -> None:
    home.write_private(tmp_path / "mode", "live")
    process = holder(tmp_path / "owner.lock")
    home.write_private(tmp_path / "platform.json", json.dumps({"pid": 7, "mode": "live", "environment": {}}))
    refused = pytest.raises(platform.LocalError, match=r"a live platform runs in .* already, as process 7")
    with refused, platform.owned(tmp_path, "live", print):
        pass
    process.communicate()


def test_start_waits_for_a_short_command_that_has_started_the_databases(tmp_path: Path) -> None:
    home.write_private(tmp_path / "mode", "live")
    process = holder(tmp_path / "owner.lock")
    home.write_private(tmp_path / "platform.json", json.dumps({"pid": 7, "mode": None, "environment": {}}))

    def end_the_wait(text: str) -> None:
        raise InterruptedError(text)

    waits = pytest.raises(InterruptedError, match=f"waiting for process 7, which uses the databases of {tmp_path}")
    with waits, platform.owned(tmp_path, "live", end_the_wait):
        pass
    process.communicate()


def test_databases_live_as_long_as_their_last_user(tmp_path: Path) -> None:
    home.write_private(tmp_path / "mode", "live")
    said: list[str] = []

    def end_the_user(text: str) -> None:
        said.append(text)
        assert platform._recorded(tmp_path) is None  # no further command can join
        psycopg.connect(variables["CITY_DATA_DATABASE_URL"]).close()
        user.communicate()

    with platform.joined(tmp_path, end_the_user) as variables:
        user = holder(tmp_path / "users.lock")
    assert ["waiting for another command" in text for text in said] == [True]
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(variables["CITY_DATA_DATABASE_URL"])


def test_process_that_only_mentions_postgres_is_not_stopped(tmp_path: Path) -> None:
    """The id in the file of an earlier start may be that of any process by now."""
    server = EmbeddedPostgres(tmp_path / "postgres", durable=False)
    server.start()
    server.stop()
    line = [sys.executable, "-c", "import sys; sys.stdin.read()", "postgres"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, cwd=tmp_path) as other:
        (tmp_path / "postgres" / "data" / "postmaster.pid").write_text(f"{other.pid}\n")
        server.start()
        server.stop()
        assert other.poll() is None
        other.communicate()


@pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL has a user of its own only where root starts it")
def test_home_below_a_closed_folder_works_without_a_change_of_it(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    rights = {path: path.stat().st_mode for path in (closed, *tmp_path.parents, tmp_path)}
    server = EmbeddedPostgres(closed / "home" / "postgres", durable=False)
    server.start()
    assert server._process is not None
    assert psutil.Process(server._process.pid).uids().effective != 0
    server.create_database("reached")
    server.stop()
    assert {path: path.stat().st_mode for path in rights} == rights


def test_process_that_an_earlier_platform_left_is_killed(tmp_path: Path) -> None:
    line = [sys.executable, "-c", "import sys; print('ready', flush=True); sys.stdin.read()"]
    own, foreign = (
        subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "CHILD_OF_HOME": str(folder)}
        )
        for folder in (tmp_path, tmp_path / "other")
    )
    for process in (own, foreign):
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    kill_leftovers(tmp_path)
    assert not psutil.pid_exists(own.pid)
    assert foreign.poll() is None
    for process in (own, foreign):
        process.communicate()
