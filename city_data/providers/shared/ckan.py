"""Months in a CKAN catalogue: reading it, finding a month's one file by its title, and the outcome of a missing one.

Belongs here: code for any CKAN portal (https://docs.ckan.org/en/2.10/api/). Does not: one portal's spelling of
months, or the content of its files.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from city_data.providers.base import Capabilities, Payload, PermanentError, Request, TransientError, no_data
from city_data.providers.http import HttpClient
from city_data.providers.shared import portals
from city_data.providers.transport.documents import read_json
from city_data.providers.transport.response import Response
from city_data.window import Month

_ALIKE = 0.85  # "dicembre" is 0.94 like "diciembre"; junio and julio are 0.8 alike, juny and juliol 0.6

Resource = Mapping[str, Any]


def resources(http: HttpClient, catalogue: str, package: str) -> list[Resource]:
    """The resources of `package_show`. Raises TransientError for an HTML page, PermanentError for another document."""
    response = http.get(catalogue, params={"id": package}, accept=portals.judge_json)
    try:
        document = read_json(response.body)
        listed = document["result"]["resources"]
    except (ValueError, KeyError, TypeError) as error:
        raise PermanentError(f"the catalogue is not CKAN's: {type(error).__name__}: {error}") from error
    if not isinstance(listed, list) or not all(isinstance(resource, dict) for resource in listed):
        raise PermanentError("the catalogue's resources are not a list of objects")
    return listed


def address(
    listed: Sequence[Resource],
    months_of: Callable[[Resource], set[Month]],
    request: Request,
    capabilities: Capabilities,
) -> str:
    """The URL of the month's file; of several, as while files move to another address, the one modified last.

    Raises TransientError for an empty catalogue; PermanentError where none of its resources names a month, where the
    month has two files that no date tells apart, or one that it names two months for; NotYetPublished or NotAvailable
    where the month has no file.
    """
    if not listed:
        raise TransientError("the catalogue lists nothing")
    months_by_resource = [(resource, months_of(resource)) for resource in listed]
    if not any(months for _, months in months_by_resource):
        titles = ", ".join(str(resource.get("name")) for resource in listed[:3])
        raise PermanentError(f"none of the {len(listed)} resources of the catalogue names a month, such as {titles}")
    matches = [(resource, months) for resource, months in months_by_resource if request.month in months]
    if not matches:
        raise no_data(request, capabilities, f"not among the {len(listed)} months of the catalogue")
    resource, months = max(matches, key=lambda match: _modified(match[0]))
    url = str(resource.get("url"))
    rivals = {str(other.get("url")) for other, _ in matches if _modified(other) == _modified(resource)}
    if len(rivals) > 1:
        raise PermanentError(f"the catalogue lists the month {len(rivals)} times: {', '.join(sorted(rivals))}")
    if len(months) > 1:
        raise PermanentError(f"the catalogue names {' and '.join(map(str, sorted(months)))} for {url}")
    return url


def _modified(resource: Resource) -> str:
    """ISO 8601, which sorts by time; empty where the portal does not fill it."""
    return str(resource.get("last_modified") or resource.get("metadata_modified") or resource.get("created") or "")


def fingerprint(listed: Sequence[Resource], url: str, headers: Mapping[str, str], size: int | None) -> dict[str, str]:
    """A file's metadata from catalogue and server, as far as the portal fills it: CKAN's fields of the resource, HTTP's
    tag and date, and the size."""
    resource = next(resource for resource in listed if str(resource.get("url")) == url)
    values = {f"catalogue:{name}": resource.get(name) for name in ("url", "last_modified", "size", "hash")}
    values |= {name: headers.get(name) for name in ("etag", "last-modified")} | {"bytes": size}
    return {name: str(value) for name, value in values.items() if value not in (None, "")}


def payload(path: Path, url: str, listed: Sequence[Resource], response: Response, media_type: str) -> Payload:
    """A file that was downloaded from the catalogue's address."""
    return Payload(
        path.name,
        path,
        url,
        media_type=media_type,
        last_modified=response.headers.get("last-modified"),
        origin=response.origin,
        fingerprint=fingerprint(listed, url, response.headers, path.stat().st_size),
    )


def current_fingerprint(http: HttpClient, listed: Sequence[Resource], url: str) -> dict[str, str]:
    """The current `fingerprint`, by one call for the file's headers. Raises TransientError and PermanentError."""
    headers = http.head(url, accept=portals.judge).headers
    size = headers.get("content-length", "")
    return fingerprint(listed, url, headers, int(size) if size.isdigit() else None)


def plain(text: str) -> str:
    """Lower case, without accents and cedillas."""
    return unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()


def month_number(word: str, names: Sequence[str]) -> int | None:
    """The number (1 to 12) of a month's name among `names`, also if mistyped as cities do ("diciiembre", "setiembre");
    None if two names are equally close, since the file inside could not correct a wrong guess."""
    likely = difflib.get_close_matches(word, names, n=2, cutoff=_ALIKE)
    if not likely or (len(likely) == 2 and word not in likely):
        return None
    return names.index(likely[0]) + 1
