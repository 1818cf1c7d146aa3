"""The home: one folder with all state of one machine's platform, its locks and its private files.

Belongs here: the home's rights, the two locks, files that are written whole. Does not: the processes (platform.py).
A lock of the kernel says whether a platform runs: a process id in a file may be that of any other process by now, and
in a container it often is. The kernel frees a lock when its process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import stat
from pathlib import Path

LEAST_FREE = 48 * 1024 * 1024


def create(folder: Path) -> None:
    """Create the home, or close an existing one to all but its owner. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read. A reader sees the old content or the new, never a part of it."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:  # noqa: PTH123
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def has_space(folder: Path) -> bool:
    """Whether PostgreSQL can write there: one segment of its log has 16 MB, and it begins the next one early."""
    return shutil.disk_usage(folder).free > LEAST_FREE


def sizes(folder: Path) -> dict[str, int]:
    """The bytes of each part of the home, by the name of its folder, largest first."""
    parts = {part.name: sum(map(_size, part.rglob("*"))) for part in folder.iterdir() if part.is_dir()}
    return dict(sorted(parts.items(), key=lambda item: item[1], reverse=True))


def _size(path: Path) -> int:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return 0  # a database deletes files at any time
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


class FileLock:
    """A lock on a file, for one process or shared, until `release` or the end of this process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self, *, shared: bool = False, wait: bool = False) -> bool:
        """Whether the lock was free, or is held already. Raises OSError."""
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
