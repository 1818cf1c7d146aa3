"""The versions that answer a request: the current ones, those of a snapshot id, or those current at a given time.

Belongs here: the choice, and its errors. Does not: parsing an id (city_data/store/snapshot_ids.py), or reading bytes
(bodies/reader.py). Nothing is written: an id is self-describing, and versions are stored until their month expires.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import HTTPException

from api.errors import Loc, invalid
from api.query.interval import parse_moment
from api.query.versions import Versions
from city_data.cities import City
from city_data.datasets import DatasetName
from city_data.store.snapshot_ids import SnapshotId, StoredVersion, digest
from city_data.store.versions import Version, at_moment
from city_data.window import Month

_HINT = "Request without `version` for the current data; its X-Snapshot-Id names stored versions."


async def months_for(
    versions: Versions,
    loc: Loc,
    city: City,
    dataset: DatasetName,
    *,
    version: str | None = None,
    moment: str | None = None,
    fresh: bool = False,
    optional: bool = False,
) -> Mapping[Month, StoredVersion]:
    """The months' versions to answer from: of the snapshot id `version`, at `moment` (as_of), or the current ones.
    None where the id does not name the dataset, if that is `optional`.

    Raises 422 for an invalid id or one of another city or dataset, and for an `as_of` that is invalid, in the
    future or given together with an id; 410 where versions are no longer stored; DatabaseUnavailable.
    """
    if version is not None and moment is not None:
        raise invalid(loc, "as_of", "exclusive", "give `version` or `as_of`, not both", moment)
    if version is not None:
        snapshot = _parse(loc, city, None if optional else dataset, version)
        return await _named(versions, snapshot, dataset, fresh) if dataset in snapshot.months else {}
    if moment is None:
        return await versions.months(city.city_id, dataset, fresh=fresh)
    at = parse_moment(loc, moment, city.timezone)
    current, unknown = at_moment(await versions.stored_versions(city.city_id, dataset, fresh=True), at)
    if unknown:
        raise _gone(unknown)
    return current


async def _named(
    versions: Versions, snapshot: SnapshotId, dataset: DatasetName, fresh: bool
) -> Mapping[Month, StoredVersion]:
    for refresh in dict.fromkeys((fresh, True)):  # another process may have issued the id a moment ago: read again
        selected = {
            name: _select(months, await versions.stored_versions(snapshot.city_id, name, fresh=refresh))
            for name, months in snapshot.months.items()
        }
        missing = [
            f"{name} {month} version {wanted}"
            for name, months in snapshot.months.items()
            for month, wanted in months.items()
            if month not in selected[name]
        ]
        everything = digest([one.identity for months in selected.values() for one in months.values()])
        if not missing and everything == snapshot.digest:
            return selected[dataset]
    raise _gone(missing)


def _select(wanted: Mapping[Month, int], versions: Sequence[Version]) -> dict[Month, Version]:
    stored = {(one.month, one.version): one for one in versions}
    return {month: stored[month, number] for month, number in wanted.items() if (month, number) in stored}


def _parse(loc: Loc, city: City, dataset: DatasetName | None, text: str) -> SnapshotId:
    """`dataset`: the one that it must name."""

    def invalid_version(kind: str, message: str) -> Exception:
        return invalid(loc, "version", kind, message, text)

    try:
        snapshot = SnapshotId.parse(text)
    except ValueError as error:
        raise invalid_version("snapshot_id", str(error)) from None
    if snapshot.city_id != city.city_id:
        message = f"the snapshot is of {snapshot.city_id}, but this location belongs to {city.city_id}"
        raise invalid_version("snapshot_of_other_city", message)
    if dataset is not None and dataset not in snapshot.months:
        message = f"the snapshot is of {', '.join(snapshot.months)}, not of {dataset}"
        raise invalid_version("snapshot_of_other_dataset", message)
    return snapshot


def _gone(missing: Sequence[str]) -> HTTPException:
    """410 instead of 404: a valid id comes from an answer, so its versions existed once, and will not return (RFC 9110,
    15.5.11)."""
    if not missing:
        return HTTPException(410, f"Months of this snapshot were dropped and reloaded since. {_HINT}")
    shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    return HTTPException(410, f"No longer stored: {shown}. {_HINT}")
