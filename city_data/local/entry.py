"""The first program of a child process: it takes a user, is made to end with its parent, and becomes the command.

Belongs here: changes that only the child itself can make, by the standard library alone. Does not: which children there
are. Linux only.

`preexec_fn` would make them in a fork of the parent, whose other threads hold locks that no thread of the child frees:
a start of the platform hung in one such fork of fifteen, while its main thread imported.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

# Numbers from linux/prctl.h and linux/capability.h.
_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
_CAPABILITY_VERSION = 0x20080522
_LIBC = ctypes.CDLL(None, use_errno=True)
NO_USER = "-"


def main(parent: str, number: str, user: str, command: list[str]) -> None:
    """`number` is the signal that the kernel sends as the process `parent` ends, 0 for none; `user` is
    `uid:gid:capability`. Raises OSError."""
    if user != NO_USER:
        _become(*map(int, user.split(":")))
    if int(number):
        # After the change of user, which resets it.
        _check(_LIBC.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0))
        if os.getppid() != int(parent):
            sys.exit(f"the process {parent}, for which this one starts, has ended")
    os.execvp(command[0], command)  # noqa: S606  our own command lines


def _become(uid: int, gid: int, capability: int) -> None:
    _check(_LIBC.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    mask = 1 << capability
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    sets = struct.pack("6I", mask, mask, mask, 0, 0, 0)
    _check(_LIBC.capset(ctypes.c_char_p(header), ctypes.c_char_p(sets)))
    _check(_LIBC.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
