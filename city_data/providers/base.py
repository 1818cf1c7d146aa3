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
from typing import TYPE_CHECKING, Any, ClassVar

import pydantic

from city_data.payloads import Payload
from city_data.providers.capabilities import Capabilities, Quota, RateLimit
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
from city_data.texts import all_printable
from city_data.window import Month

if TYPE_CHECKING:
    import pandas as pd

    from city_data.providers.http import HttpClient


__all__ = [
    "Capabilities",
    "CollectingProvider",
    "NoSnapshot",
    "NotAvailable",
    "NotConfigured",
    "NotYetPublished",
    "ParsedMonth",
    "Payload",
    "PermanentError",
    "Place",
    "Provider",
    "ProviderError",
    "Quota",
    "QuotaExceeded",
    "RateLimit",
    "Request",
    "Settings",
    "Snapshot",
    "SourceBlocked",
    "TransientError",
    "about",
    "awaited",
    "no_data",
]


class Settings(pydantic.BaseModel):
    """A city's settings for one provider, as written in cities.yaml. Unknown keys are refused."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Place:
    """The city as far as a provider needs it. Coordinates in degrees; `timezone` is an IANA name."""

    city_id: str
    latitude: float
    longitude: float
    timezone: str


@dataclass(frozen=True)
class Request:
    """One month of one place, with the city's settings for the provider, at the moment `as_of`."""

    place: Place
    month: Month
    settings: Settings
    as_of: datetime


@dataclass(frozen=True)
class Snapshot:
    """What a live feed said at one moment.

    `mark` is a digest of the moments of measurement in it: equal marks mean that nothing has moved, whatever the bytes.
    `newest` is the latest of those moments, `repeated` how many rows the source sent more than once.
    """

    payload: Payload
    mark: str
    newest: datetime
    repeated: int = 0


@dataclass(frozen=True)
class ParsedMonth:
    """The canonical frame of a month (see `Dataset`), what became of every row that was received, and how it was made.

    Counts are of the provider's own rows: a CSV line, a station's day, an hour of a time axis, never the frame's rows.
    `received` = `used` + the sum of `rejected`, always: each row received is used, or rejected under exactly one reason
    (words such as `outside_month`, `duplicate`, `disagreeing`, `other_station`, `no_value`). `nulled` counts single
    values of used rows that became NULL, by `reason:field` (`unreadable`, `implausible`, `negative`, or the source's
    own doubt): see shared/cells.py. `fields` are the columns or keys that the bytes really have, by the source's own
    names, without those that come and go with the weather.
    `provenance["stations"]`, where a source names what it measures with, is a list of `{"id": ...}` with what is known
    of `name`, `latitude`, `longitude`, `altitude_m` and `weight`, its share of what the month's values are made of.
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
    """Every outcome that leaves this context says which provider, city and month it is about."""
    try:
        yield
    except ProviderError as error:
        subject = f"{provider}: {request.place.city_id} {request.month}"
        if not str(error).startswith(subject):
            error.args = (f"{subject}: {str(error).removeprefix(f'{provider}: ')}",)
        raise


def awaited(request: Request, capabilities: Capabilities) -> bool:
    """Whether a month without data can still be expected to appear."""
    published = request.month.bounds(request.place.timezone)[1] + capabilities.lag
    return request.as_of < published + capabilities.grace


def no_data(request: Request, capabilities: Capabilities, why: str) -> NotYetPublished | NotAvailable:
    """The outcome of a month that its source has nothing of: for now, or for good."""
    return NotYetPublished(f"{why} yet") if awaited(request, capabilities) else NotAvailable(why)


class Provider(ABC):
    """One source. A module of `city_data.providers` that defines a concrete subclass is discovered by itself."""

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    settings_model: ClassVar[type[Settings]] = Settings
    # Whether a month comes in files too large to be fetched for a look at the source.
    whole_files: ClassVar[bool] = False

    @abstractmethod
    def fetch(self, request: Request, http: HttpClient, into: Path) -> Sequence[Payload]:
        """Download the month's bytes into the folder `into`. The only method that uses the network.

        Raises TransientError, PermanentError, NotYetPublished or NotAvailable; never returns nothing.
        """

    @abstractmethod
    def parse(self, request: Request, payloads: Sequence[Payload]) -> ParsedMonth:
        """Turn the fetched bytes into the canonical frame: pure, repeatable, offline.

        Raises PermanentError where the bytes are not what the source's format promises.
        """

    def source(self, payloads: Sequence[Payload]) -> str:
        """What rows made of these bytes call their `source`: a stand-in's name goes before the provider's."""
        origin = next((payload.origin for payload in payloads if payload.origin), None)
        return f"{origin}:{self.name}" if origin else self.name

    def fingerprint(self, request: Request, http: HttpClient) -> Mapping[str, str] | None:  # noqa: ARG002
        """What the source tells of the month's bytes without sending them (size, dates, tags), in few and small calls.

        A settled month is fetched again only where this differs from the `fingerprint`s of its payloads. None where
        the source has no such way: it is then fetched again at a slow pace. Raises as `fetch` does.
        """
        return None

    def rate_limit(self) -> RateLimit:
        """The limit that holds for this deployment: the declared one, unless a setting names another plan's.

        Raises ConfigurationError for a wrong setting.
        """
        return self.capabilities.rate_limit

    def calls(self, settings: Settings) -> int:  # noqa: ARG002
        """At most how many calls one month of one place takes, retries left out: what it costs of the rate limit."""
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
    """A source of the present alone (`forward_only`). The collector polls it and keeps the snapshots; a month's
    payloads, as `parse` gets them, are the snapshots taken in it, oldest first, each under the `name` that `poll` gave.
    """

    @abstractmethod
    def poll(self, request: Request, http: HttpClient, into: Path) -> Snapshot:
        """One snapshot, taken at `request.as_of`, into the folder `into`; in as few and small calls as can be.

        Raises NoSnapshot for an answer that is no data, TransientError or PermanentError.
        """

    def fetch(self, request: Request, http: HttpClient, into: Path) -> Sequence[Payload]:  # noqa: ARG002
        """Raises NotAvailable: there is nothing to fetch, the months of such a source are collected."""
        raise NotAvailable(
            f"{self.name}: {request.place.city_id} {request.month}: the source has the present alone; "
            "`city-data collect` takes its snapshots"
        )
