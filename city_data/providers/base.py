"""The contract between the platform and a source of data.

Belongs here: `Provider`, its request and its `ParsedMonth`; and under one name to import from, its capabilities
(capabilities.py), payloads (payloads.py) and typed outcomes (errors.py). Does not: HTTP (http.py), any one source's
format, Dagster, the database.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from city_data.local_holidays import LocalHolidays
from city_data.payloads import Payload
from city_data.providers.capabilities import Capabilities, Meaning, Quota, RateLimit
from city_data.providers.errors import (
    NoSnapshot,
    NotAvailable,
    NotConfigured,
    NotYetPublished,
    PermanentError,
    ProviderError,
    QuotaExceeded,
    SourceBlocked,
    TransientError,
)
from city_data.strict_model import StrictModel
from city_data.texts import all_printable
from city_data.window import Month

if TYPE_CHECKING:
    import pandas as pd

    from city_data.providers.http import HttpClient


__all__ = [
    "Capabilities",
    "CollectingProvider",
    "Location",
    "Meaning",
    "NoSnapshot",
    "NotAvailable",
    "NotConfigured",
    "NotYetPublished",
    "ParsedMonth",
    "Payload",
    "PermanentError",
    "Provider",
    "ProviderError",
    "Quota",
    "QuotaExceeded",
    "RateLimit",
    "Request",
    "Sample",
    "Settings",
    "Snapshot",
    "SourceBlocked",
    "TransientError",
    "about",
    "awaited",
    "no_data",
]


Clock = Literal["city", "UTC", "UTC's days"]


class Settings(StrictModel):
    """A city's settings for one provider, as written in cities.yaml. Unknown keys are refused."""


@dataclass(frozen=True)
class Location:
    """A city's identifier, position, time zone and, for its calendar, country, region and own feasts, as in the
    registry. Coordinates in degrees; `timezone` is an IANA name; None is unknown."""

    city_id: str
    latitude: float
    longitude: float
    timezone: str
    country: str | None = None
    region: str | None = None
    local_holidays: LocalHolidays | None = None


@dataclass(frozen=True)
class Request:
    """One month of one location, with the city's settings for the provider, as of the moment `as_of`."""

    location: Location
    month: Month
    settings: Settings
    as_of: datetime


@dataclass(frozen=True)
class Snapshot:
    """A live feed's answer at one moment.

    `mark` is a digest of the measurement times in it: equal marks mean that no measurement is new, even if bytes
    differ. `newest` is the latest of those times, `repeated` the number of rows that the source sent more than once.
    """

    payload: Payload
    mark: str
    newest: datetime
    repeated: int = 0


@dataclass(frozen=True)
class Sample:
    """A small real part of a source's data, for a look at the source. `request` is that of the part, which may be of
    another month or station; `newest` when the source's file was last changed, where the part does not show it."""

    request: Request
    payloads: Sequence[Payload]
    newest: datetime | None = None


@dataclass(frozen=True)
class ParsedMonth:
    """A month's canonical frame (see `Dataset`), the counts of used and rejected rows, and its provenance.

    Counts are of the provider's own rows (a CSV line, a station's day, an hour of a time axis), never of the frame's.
    `received` = `used` + the sum of `rejected`, always: each row received is used, or rejected under exactly one reason
    (words such as `outside_month`, `duplicate`, `disagreeing`, `other_station`, `no_value`). `nulled` counts single
    values of used rows that became NULL, by `reason:field` (`unreadable`, `implausible`, `negative`, or the source's
    own doubt): see shared/cells.py. `fields` are the columns or keys that the bytes really have, by the source's own
    names, without those that come and go with the weather.
    `provenance["stations"]`, where a source names its stations, is a list of `{"id": ...}` with `name`, `latitude`,
    `longitude`, `altitude_m` and `weight` (the station's share of the month's values), as far as they are known.
    """

    frame: pd.DataFrame
    received: int
    used: int
    fields: Sequence[str]
    rejected: Mapping[str, int] = field(default_factory=dict)
    nulled: Mapping[str, int] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """A source's own names go to a database, which takes neither NUL nor a lone surrogate."""
        object.__setattr__(self, "fields", all_printable(self.fields))
        object.__setattr__(self, "provenance", all_printable(self.provenance))


@contextmanager
def about(provider: str, request: Request) -> Iterator[None]:
    """Adds provider, city and month to the text of every outcome that leaves this context."""
    try:
        yield
    except ProviderError as error:
        subject = f"{provider}: {request.location.city_id} {request.month}"
        if not str(error).startswith(subject):
            error.args = (f"{subject}: {str(error).removeprefix(f'{provider}: ')}",)
        raise


def awaited(request: Request, capabilities: Capabilities) -> bool:
    """Whether a month without data can still be expected to appear."""
    published = request.month.bounds(request.location.timezone)[1] + capabilities.lag
    return request.as_of < published + capabilities.grace


def no_data(request: Request, capabilities: Capabilities, why: str) -> NotYetPublished | NotAvailable:
    """The outcome of a month without data at its source: NotYetPublished while it is awaited, then NotAvailable."""
    return NotYetPublished(f"{why} yet") if awaited(request, capabilities) else NotAvailable(why)


class Provider(ABC):
    """One source. A module of `city_data.providers` that defines a concrete subclass is discovered by itself."""

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    settings_model: ClassVar[type[Settings]] = Settings
    # Whether a month comes in files too large to be fetched for a look at the source, of which it has a sample.
    whole_files: ClassVar[bool] = False
    # A sample in words, and by which clock its first stamp is the month's start (that hour's end with `stamps_end`);
    # None where it is not.
    sampled: ClassVar[str] = "one month"
    clock: ClassVar[Clock | None] = None
    stamps_end: ClassVar[bool] = False

    @abstractmethod
    def fetch(self, request: Request, http: HttpClient, into: Path) -> Sequence[Payload]:
        """Download the month's bytes into the folder `into`. The only method that uses the network.

        Raises TransientError, PermanentError, NotYetPublished or NotAvailable; never returns nothing.
        """

    @abstractmethod
    def parse(self, request: Request, payloads: Sequence[Payload]) -> ParsedMonth:
        """Turn the fetched bytes into the canonical frame: pure, repeatable, offline.

        Raises PermanentError where the bytes do not have the source's format.
        """

    def is_without_values(self, request: Request, payloads: Sequence[Payload]) -> bool:
        """Whether fetched bytes hold no value. Bytes that `parse` refuses are not without values: they are archived, so
        that building the month reports what is wrong with them."""
        try:
            frame = self.parse(request, payloads).frame
        except PermanentError:
            return False
        return not frame[list(self.capabilities.columns)].notna().any(axis=None)

    def sample(self, request: Request, http: HttpClient, into: Path) -> Sample:
        """A part of the month that `parse` reads, at a small share of the source's day. Raises as `fetch` does."""
        return Sample(request, self.fetch(request, http, into))

    def source(self, payloads: Sequence[Payload]) -> str:
        """The `source` of rows built from these bytes: the provider's name, after the name of a stand-in server if
        any."""
        origin = next((payload.origin for payload in payloads if payload.origin), None)
        return f"{origin}:{self.name}" if origin else self.name

    def fingerprint(self, request: Request, http: HttpClient) -> Mapping[str, str] | None:  # noqa: ARG002
        """Size, dates and tags of the month's bytes, which the source reports without sending them, in few small calls.

        A settled month is fetched again only where this differs from the `fingerprint`s of its payloads. None if the
        source offers no such call: its months are then fetched again at a slow pace. Raises as `fetch` does.
        """
        return None

    def rate_limit(self) -> RateLimit:
        """The limit that holds for this deployment: the declared one, unless a setting names another plan's.

        Raises ConfigurationError for a wrong setting.
        """
        return self.capabilities.rate_limit

    def calls(self, settings: Settings) -> int:  # noqa: ARG002
        """The most calls that one month of one location takes, without retries: its cost in the rate limit."""
        return 2

    def stations(self, settings: Settings) -> Sequence[str]:  # noqa: ARG002
        """The ids of the configured stations, as `provenance["stations"]` has them; empty where none are configured."""
        return ()

    @abstractmethod
    def check_connection(self, http: HttpClient) -> str:
        """One cheap call that proves the source answers and the key works; returns a line for people.

        Raises TransientError or PermanentError.
        """


class CollectingProvider(Provider):
    """A live source without history (`forward_only`). The collector polls it and archives the snapshots; a month's
    payloads, as `parse` gets them, are the snapshots taken in it, oldest first, each under the `name` that `poll` gave.
    """

    @abstractmethod
    def poll(self, request: Request, http: HttpClient, into: Path) -> Snapshot:
        """One snapshot, taken at `request.as_of`, in the folder `into`; with as few and small calls as possible.

        Raises NoSnapshot for an answer without data, TransientError or PermanentError.
        """

    def fetch(self, request: Request, http: HttpClient, into: Path) -> Sequence[Payload]:  # noqa: ARG002
        """Raises NotAvailable: months of a live source are collected, never fetched."""
        raise NotAvailable(
            f"{self.name}: {request.location.city_id} {request.month}: the source has no history; "
            "`city-data collect` records its snapshots"
        )
