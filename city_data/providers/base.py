"""The contract between the platform and a source of data.

Belongs here: `Provider`, what it declares (`Capabilities`), what it fetches (`Payload`), what it parses
(`ParsedMonth`), and the typed outcomes. Does not: HTTP (http.py), any one source's format, Dagster, the database.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pydantic

from city_data.datasets import DatasetName, Resolution
from city_data.window import Month

if TYPE_CHECKING:
    import pandas as pd

    from city_data.providers.http import HttpClient


class ProviderError(Exception):
    """An outcome other than data. The text says which provider, city and month, what was found, and what to do."""


class TransientError(ProviderError):
    """Trying again later can help. `retry_after` is in seconds, where the source named it."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PermanentError(ProviderError):
    """Trying again cannot help: a wrong key, a changed format, a refused host."""


class NotConfigured(PermanentError):
    """The source needs a key or setting that is not given; the text names it. A fallback may serve instead."""


class NotYetPublished(ProviderError):
    """A normal state: the source has not published this month yet, and will."""


class NotAvailable(ProviderError):
    """A normal state: the source has not, and never will have, this month."""


class NoSnapshot(TransientError):
    """A live feed answered, but with nothing that is data. `reason` is one word, by which such answers are counted."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Settings(pydantic.BaseModel):
    """A city's settings for one provider, as written in cities.yaml. Unknown keys are refused."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Quota:
    """At most `calls` calls in each `seconds`, as sources count them: an hour by the clock, a day from midnight UTC."""

    calls: int
    seconds: int


@dataclass(frozen=True)
class RateLimit:
    """At most `calls` calls in `seconds`, shared by every run; never closer together than `spacing` seconds.

    `quotas` hold beside it, such as a day's. `weight` is what one of our calls counts as at the source.
    """

    calls: int
    seconds: float
    spacing: float = 0.0
    quotas: tuple[Quota, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True)
class Capabilities:
    """What a provider can give, told before anything is fetched.

    `lag`: how long after a month's end its data first appears. `settling`: how long after that it may still change.
    `grace`: how long after the lag a month without data is awaited, before it is called missing for good.
    `earliest`: the first month that exists at the source, None where there is no known limit.
    `hosts`: the only hosts that may be called, redirects included. `key_variable`: the secret's environment variable.
    `forward_only`: the source has the present alone, so its months are those that were collected, see
    `CollectingProvider`; what was missed cannot be fetched again.
    """

    dataset: DatasetName
    columns: tuple[str, ...]
    resolution: Resolution
    lag: timedelta
    settling: timedelta
    earliest: Month | None
    rate_limit: RateLimit
    licence: str
    licence_url: str
    modelled: bool
    hosts: tuple[str, ...]
    key_variable: str | None = None
    forward_only: bool = False
    grace: timedelta = timedelta(days=30)

    @property
    def summary(self) -> str:
        """What the source can give, in one line for people."""
        hours = self.lag / timedelta(hours=1)
        lag = f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.0f} h"
        reach = f"from {self.earliest} on" if self.earliest else "no known first month"
        if self.forward_only:
            reach = "forward-only: months begin with the first snapshot that was collected"
        kind = "modelled" if self.modelled else "observed"
        return f"{', '.join(self.columns)}; {self.resolution}, {kind}, lag {lag}; {reach}"


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
class Payload:
    """Bytes exactly as received, in a local file. `url` and `params` never hold a secret.

    `origin` is None for the real service, else the name that the stand-in server gave itself. `fingerprint` is what
    `Provider.fingerprint` says while the source still holds these bytes; empty where it has no such way.
    """

    name: str
    path: Path
    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    media_type: str | None = None
    last_modified: str | None = None
    origin: str | None = None
    fingerprint: Mapping[str, str] = field(default_factory=dict)


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
    (words such as `outside_month`, `duplicate`, `no_value`). `nulled` counts single values of used rows that became
    NULL, by `reason:field`. `fields` are the columns or keys that the bytes really have, by the source's own names,
    without those that come and go with the weather.
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

    def calls(self, settings: Settings) -> int:  # noqa: ARG002
        """At most how many calls one month of one place takes, retries left out: what it costs of the rate limit."""
        return 2

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
