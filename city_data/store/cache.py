"""The segment cache in Redis. Redis may be absent, away, full or hostile: no run or answer depends on it.

Belongs here: keys of values, and the circuit breaker. Does not: the form of a segment (segments.py), or the proof that
a value is the platform's own (cache_seal.py). No method of a Cache raises.
"""

from __future__ import annotations

import re
import struct
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import redis
import structlog

from city_data import environment
from city_data.datasets import DATASETS, DatasetName
from city_data.errors import ConfigurationError
from city_data.store.cache_seal import SEAL_BYTES, Seal
from city_data.store.segments import Segment
from city_data.window import Month

_PREFIX = "city_data:segment:v1"
_HEAD = struct.Struct("<4sIQI")  # magic, crc32 and length of the text, rows; then the body, all after the seal
_MAGIC = b"CDS3"
_KEY = re.compile(rb".*:((?!0000)\d{4}-(?:0[1-9]|1[0-2])):\d+(?::[0-9a-f]+)?")
FAILURES_TO_OPEN = 3
OPEN_FOR_S = 5.0
_log = structlog.get_logger(__name__)
_T = TypeVar("_T")


class CircuitBreaker:
    """Skips Redis for a while after some failures in a row, so that readers do not each wait for a timeout."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures, self._open_until = 0, 0.0

    @property
    def is_open(self) -> bool:
        return self._clock() < self._open_until

    def failed(self, error: Exception) -> None:
        self._failures += 1
        if self._failures >= FAILURES_TO_OPEN:
            self._open_until = self._clock() + OPEN_FOR_S  # then one failure more opens it again
        _log.warning("cache not used", why=f"{type(error).__name__}: {error}")

    def succeeded(self) -> None:
        self._failures = 0


class Cache:
    """Segments by `name_of`: a new version or another set of columns has a new key, so stale values are never read."""

    def __init__(
        self,
        url: str | None,
        timeout_s: float = 0.1,
        ttl_s: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = _client(url, timeout_s) if url else None
        self._ttl_s, self._breaker = ttl_s or _ttl_s(), CircuitBreaker(clock)

    def status(self) -> Literal["ok", "off", "away"]:
        """`off` where there is none, `away` where it does not answer now."""
        if self._client is None:
            return "off"
        return "ok" if self._tried(self._client.ping, False) else "away"

    def put_segment(self, name: str, identity: str, segment: Segment, seal: Seal) -> bool:
        """Store a segment of the version `identity` under its `name_of`; False where that was not possible."""
        client = self._client
        if client is None:
            return False
        value = _packed(name, identity, segment, seal)
        return self._tried(lambda: bool(client.set(name, value, ex=self._ttl_s)), False)

    def inventory(self) -> set[Month]:
        """The months with any key; empty where Redis does not answer."""
        matches = (_KEY.fullmatch(name) for name in self._names("*"))
        return {Month.parse(match[1].decode()) for match in matches if match}

    def count_keys(self, month: Month) -> Counter[tuple[str, str]]:
        """The number of keys of a month, by dataset and city; none where Redis does not answer."""
        names = (name.decode().removeprefix(f"{_PREFIX}:").split(":") for name in self._names(f"*:{month}:*"))
        return Counter((dataset, city_id) for dataset, city_id, *_ in names)

    def drop_month(self, month: Month) -> int:
        """Delete a month of every city; returns the number of deleted keys."""
        client, names = self._client, self._names(f"*:{month}:*")
        return self._tried(lambda: client.delete(*names), 0) if client is not None and names else 0

    def _names(self, pattern: str) -> list[bytes]:
        client, nothing = self._client, list[bytes]()
        if client is None:
            return nothing
        return self._tried(lambda: list(client.scan_iter(match=f"{_PREFIX}:{pattern}", count=1000)), nothing)

    def _tried(self, work: Callable[[], _T], otherwise: _T) -> _T:
        if self._breaker.is_open:
            return otherwise
        try:
            result = work()
        except (redis.RedisError, OSError) as error:
            self._breaker.failed(error)
            return otherwise
        self._breaker.succeeded()
        return result


def name_of(dataset: DatasetName, city_id: str, month: Month, version: int, encoding: Literal["", "/zstd"] = "") -> str:
    """A segment's key in Redis, as the platform stores it or in another encoding.

    It includes a digest of the columns: two releases with other columns share Redis during an upgrade.
    """
    return f"{_PREFIX}:{dataset}{encoding}:{city_id}:{month}:{version}:{DATASETS[dataset].columns_digest}"


def opened(
    wanted: Sequence[tuple[str, str]], values: Sequence[bytes | str | None], seal: Seal
) -> tuple[list[Segment | None], list[str]]:
    """The segment of each value for these names and identities, None where it is absent or its seal is broken; and the
    names of the broken ones.
    """
    segments: list[Segment | None] = []
    broken: list[str] = []
    for (name, identity), value in zip(wanted, values, strict=True):
        segment = _unpacked(name, identity, value, seal) if isinstance(value, bytes) else None
        segments.append(segment)
        if segment is None and value is not None:
            broken.append(name)
    if broken:
        _log.warning("cache values with a broken seal deleted", keys=broken)
    return segments, broken


def _client(url: str, timeout_s: float) -> redis.Redis:
    try:
        return redis.Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=None)
    except ValueError:  # its text may quote a part of the URL, and so a part of a password
        raise ConfigurationError("the URL of Redis is not of the form redis://[:password@]host[:port]/0") from None


def _ttl_s() -> int:
    """`CITY_DATA_CACHE_TTL_DAYS`, else 60 days, in seconds. Raises ConfigurationError."""
    return environment.CACHE_TTL_DAYS.whole_number("a number of days from 1 to 3650", 1, 3650) * 24 * 3600


def _packed(name: str, identity: str, segment: Segment, seal: Seal) -> bytes:
    value = _HEAD.pack(_MAGIC, segment.crc32, segment.length, segment.rows) + segment.body
    return seal.make(name, identity, value) + value


def _unpacked(name: str, identity: str, sealed: bytes, seal: Seal) -> Segment | None:
    value = memoryview(sealed)[SEAL_BYTES:]
    if len(value) < _HEAD.size or not seal.is_good(sealed[:SEAL_BYTES], name, identity, value):
        return None
    magic, checksum, length, rows = _HEAD.unpack_from(value)
    return Segment(bytes(value[_HEAD.size :]), checksum, length, rows) if magic == _MAGIC else None
