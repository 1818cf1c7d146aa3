"""How the process takes memory from the system. Belongs here: the allocators' own settings, made before they are used.

Does not: what is remembered, which settings.py bounds. Measured over a mix of all forms: 392 MB by the defaults of
Arrow and glibc, which keep what every thread once took, and with pandas, which nothing here asks for. So, an hour and
3 million mixed reads took 251 MB at most, and 12 MB less by the caches' sizes of now.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

# <malloc.h> of glibc. Smaller blocks than this are kept: at 64 KB every answer was memory requested of the system, a
# quarter of a read by Redis (measured).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_SETTINGS = ((_ARENA_MAX, 1), (_TRIM_THRESHOLD, 4_000_000), (_MMAP_THRESHOLD, 393_216))
_COLLECT_AFTER = (20_000, 20, 20)
_GIVE_BACK_S = 10.0


def keep_small() -> None:
    """Call before pyarrow is imported. Does nothing to an allocator that has no such settings."""
    sys.meta_path.insert(0, _WithoutPandas())
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for name, value in _SETTINGS:
            mallopt(name, value)


def settle() -> None:
    """Call when all is loaded. What lives as long as the process is not looked through for garbage again, and what
    requests leave behind is looked through less often: it was a tenth of a read, and 90 ms at a time (measured).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        threading.Thread(target=_give_back, args=(trim,), name="give-back", daemon=True).start()


def _give_back(trim: Callable[[int], int]) -> None:
    """Free pages between blocks that are in use go back to the system at times; it takes some 2 ms (measured)."""
    while True:
        time.sleep(_GIVE_BACK_S)
        trim(0)


class _WithoutPandas(MetaPathFinder):
    """pyarrow imports pandas to tell its columns from others: 43 MB (measured), and none of them come here."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        del path, target
        if fullname == "pandas":
            raise ModuleNotFoundError("the reader does without pandas (api/transport/process_memory.py)", name=fullname)
