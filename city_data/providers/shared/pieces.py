"""Work on the pieces of a big file, some at once, and on a piece part by part.

Belongs here: the order and the number of pieces under way, and their parts. Does not: where pieces come from, or what
they mean.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from numpy.typing import NDArray

_THREADS = 2  # pieces parsed at once; more take memory without being faster on two cores
_Result = TypeVar("_Result")


def in_order(work: Callable[[bytes], _Result], pieces: Iterable[bytes]) -> Iterator[_Result]:
    """`work` on each piece, in the order of the pieces, while the next one is read."""
    with ThreadPoolExecutor(_THREADS) as pool:
        running: deque[Future[_Result]] = deque()
        for piece in pieces:
            running.append(pool.submit(work, piece))
            if len(running) > _THREADS:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def cached_parts(array: NDArray[Any], size: int, overlap: int = 0) -> Iterator[NDArray[Any]]:
    """The array in parts of `size` values, each with the first `overlap` values of the next part.

    Choose parts that fit a processor's cache together with what is computed of them: looking at all at once took two
    to five times as long (measured).
    """
    return (array[start : start + size + overlap] for start in range(0, len(array), size))
