"""How the process takes memory from the system. Belongs here: the allocators' own settings, made before they are used.

Does not: what is remembered, which settings.py bounds. Measured over a mix of all forms: 392 MB by the defaults of
Arrow and glibc, which keep what every thread once took, 241 MB so.
"""

from __future__ import annotations

import ctypes
import os

# <malloc.h> of glibc
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_SETTINGS = ((_ARENA_MAX, 2), (_TRIM_THRESHOLD, 1_000_000), (_MMAP_THRESHOLD, 65_536))


def keep_small() -> None:
    """Call before pyarrow is imported. Does nothing to an allocator that has no such settings."""
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for name, value in _SETTINGS:
            mallopt(name, value)
