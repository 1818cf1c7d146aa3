"""What can go wrong, as types. Belongs here: the errors, and which answer is which. Does not: retrying (client.py)."""

from __future__ import annotations

import re

import httpx

# The two texts with which the service refuses a tenant.
_TENANT = re.compile(r"^Tenant \S+ does not exist|does not know tenant")

_NO_ROUTE = "Not Found"


class CityDataError(Exception):
    """Anything that keeps an answer away."""


class NotCovered(CityDataError):
    """No supported city is near, or no such city: the text names the nearest, or those there are."""


class InvalidRequest(CityDataError):
    """The service cannot understand the question. `problems` is its own list: each has `loc`, `msg`, `input`."""

    def __init__(self, message: str, problems: list[dict[str, object]]) -> None:
        super().__init__(message)
        self.problems = problems


class Forbidden(CityDataError):
    """The token is missing, expired or not good here."""


class UnknownTenant(CityDataError):
    """The tenant does not exist, or is another one than the token's."""


class Gone(CityDataError):
    """The requested snapshot is no longer kept: its months have left the window."""


class ServiceUnavailable(CityDataError):
    """The service did not answer in time, or could not; all retries are used up."""


class UnexpectedAnswer(CityDataError):
    """An answer that no city_data service gives: is the address right?"""


def error_of(response: httpx.Response) -> CityDataError:
    """The error that a response of 400 or more stands for."""
    detail = _detail(response)
    if response.status_code in (401, 403):
        return Forbidden(f"{response.status_code}: {detail}")
    if response.status_code == 404 and detail != _NO_ROUTE:
        return UnknownTenant(str(detail)) if _TENANT.search(str(detail)) else NotCovered(str(detail))
    if response.status_code == 410:
        return Gone(str(detail))
    if response.status_code == 422 and isinstance(detail, list):
        said = "; ".join(f"{'.'.join(str(part) for part in p.get('loc', []))}: {p.get('msg')}" for p in detail)
        return InvalidRequest(said, detail)
    if response.status_code in RETRIED:
        return ServiceUnavailable(f"{response.status_code}: {detail}")
    hint = "; no such dataset, or not the service's address" if response.status_code == 404 else ""
    return UnexpectedAnswer(f"{response.request.url.path} answered {response.status_code}: {detail}{hint}")


def _detail(response: httpx.Response) -> object:
    try:
        document = response.json()
    except ValueError:
        return response.text[:200]
    return document.get("detail", document) if isinstance(document, dict) else document


# Retried: the database was away for a moment, or too many requests came at once.
RETRIED = (429, 502, 503, 504)
