"""The user that PostgreSQL runs as where this process is root, which PostgreSQL refuses.

Belongs here: that user. Does not: a child's change to it (entry.py), or starting the server (embedded.py).

The home is closed to all but root, and so may be any folder above it or above the binaries. Their rights are not
touched: the child keeps one capability of root, to pass through folders and read files, which Linux lets a program
keep when it changes its user.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from city_data.errors import CityDataError

NAME = "embedded_postgres"
# Numbers from linux/capability.h.
_READ_SEARCH, _OVERRIDE = 2, 1


class NoServerUser(CityDataError):
    """PostgreSQL can neither run as root nor as another user here; the text says why."""


@dataclass(frozen=True)
class ServerUser:
    """`capability` lets the user pass through the closed folders."""

    uid: int
    gid: int
    capability: int

    @property
    def text(self) -> str:
        """For the child's own change to it, in entry.py."""
        return f"{self.uid}:{self.gid}:{self.capability}"

    def own(self, path: Path) -> None:
        os.chown(path, self.uid, self.gid)


def server_user() -> ServerUser | None:
    """The user for PostgreSQL, created if missing; None where this process is not root. Raises NoServerUser."""
    if os.geteuid() != 0:
        return None
    if sys.platform != "linux":
        raise NoServerUser("PostgreSQL does not run as root; run this command as another user")
    try:
        entry = pwd.getpwnam(NAME)
    except KeyError:
        try:
            subprocess.run(["useradd", "--system", NAME], check=True, capture_output=True)  # noqa: S603, S607
        except (OSError, subprocess.CalledProcessError) as error:
            raise NoServerUser(f"PostgreSQL does not run as root, and creating a user failed: {error}") from error
        entry = pwd.getpwnam(NAME)
    return ServerUser(entry.pw_uid, entry.pw_gid, _capability())


def _capability() -> int:
    status = Path("/proc/self/status").read_text()
    permitted = int(status.partition("CapPrm:")[2].split()[0], 16)
    for capability in (_READ_SEARCH, _OVERRIDE):
        if permitted & 1 << capability:
            return capability
    raise NoServerUser(
        "PostgreSQL does not run as root, and this root may not pass through closed folders (it has neither "
        "CAP_DAC_READ_SEARCH nor CAP_DAC_OVERRIDE); run this command as another user"
    )
