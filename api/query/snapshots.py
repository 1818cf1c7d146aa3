"""The versions that answer a request: the current ones, those of a snapshot id, or those current at a given time.

Belongs here: the choice, and its errors. Does not: parsing an id (city_data/store/snapshot_ids.py), or reading bytes
(bodies/reader.py). Nothing is written: an id is self-describing, and versions are stored until their month expires.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import HTTPException

from api.errors import Loc, invalid
from api.query.interval import parse_moment
from api.query.versions import Versions
from city_data.cities import City
from city_data.datasets import DatasetName
from city_data.store.snapshot_ids import SnapshotId, StoredVersion, digest
from city_data.store.versions import Version
from city_data.window import Month, as_of

_HINT = "Request without `version` for the current data; its X-Snapshot-Id names stored versions."


@dataclass(frozen=True)
class Snapshots:
    """One per application."""

    versions: Versions

    async def months(
        self,
        loc: Loc,
        city: City,
        dataset: DatasetName,
        *,
        version: str | None = None,
        moment: str | None = None,
        fresh: bool = False,
    ) -> Mapping[Month, StoredVersion]:
        """The months' versions to answer from: of the snapshot id `version`, at `moment` (as_of), or the current ones.

        Raises 422 for an invalid id or one of another city or dataset, and for an `as_of` that is invalid, in the
        future or given together with an id; 410 where versions are no longer stored; DatabaseUnavailable.
        """
        if version is not None and moment is not None:
            raise invalid(loc, "as_of", "exclusive", "give `version` or `as_of`, not both", moment)
        if version is not None:
            return await self._named(_parse(loc, city, dataset, version), dataset, fresh)
        if moment is not None:
            at = parse_moment(loc, "as_of", moment, city.timezone)
            if at > as_of():
                message = "is in the future"
                raise invalid(loc, "as_of", "future", message, moment)
            return at_moment(await self.versions.stored_versions(city.city_id, dataset, fresh=True), at)
        return await self.versions.months(city.city_id, dataset, fresh=fresh)

    async def _named(self, snapshot: SnapshotId, dataset: DatasetName, fresh: bool) -> Mapping[Month, StoredVersion]:
        for refresh in dict.fromkeys((fresh, True)):  # another process may have issued the id a moment ago: read again
            stored = {
                name: await self.versions.stored_versions(snapshot.city_id, name, fresh=refresh)
                for name in snapshot.months
            }
            selected = {name: _select(snapshot.months[name], versions) for name, versions in stored.items()}
            missing = [
                f"{name} {month} version {wanted}"
                for name, months in snapshot.months.items()
                for month, wanted in months.items()
                if month not in selected[name]
            ]
            everything = digest([one.identity for name in selected for one in selected[name].values()])
            if not missing and everything == snapshot.digest:
                return selected[dataset]
        raise _gone(missing)


def at_moment(versions: Iterable[Version], at: datetime) -> Mapping[Month, Version]:
    """Each month's version that was current at `at`. Raises 410 where that version may no longer be stored."""
    current: dict[Month, Version] = {}
    unknown: list[str] = []
    by_month: dict[Month, list[Version]] = {}
    for version in versions:
        by_month.setdefault(version.month, []).append(version)
    for month, ones in by_month.items():
        loaded = [one for one in ones if one.loaded_at <= at]
        if loaded:
            current[month] = max(loaded, key=lambda one: one.version)
        elif (first := min(one.version for one in ones)) > 1:
            unknown.append(f"{month} before version {first}")
    if unknown:
        raise _gone(unknown)
    return current


def _select(wanted: Mapping[Month, int], versions: Sequence[Version]) -> dict[Month, Version]:
    stored = {(one.month, one.version): one for one in versions}
    return {month: stored[month, number] for month, number in wanted.items() if (month, number) in stored}


def _parse(loc: Loc, city: City, dataset: DatasetName, text: str) -> SnapshotId:
    def invalid_version(kind: str, message: str) -> Exception:
        return invalid(loc, "version", kind, message, text)

    try:
        snapshot = SnapshotId.parse(text)
    except ValueError as error:
        raise invalid_version("snapshot_id", str(error)) from None
    if snapshot.city_id != city.city_id:
        message = f"the snapshot is of {snapshot.city_id}, but this location belongs to {city.city_id}"
        raise invalid_version("snapshot_of_other_city", message)
    if dataset not in snapshot.months:
        message = f"the snapshot is of {' and '.join(snapshot.months)}, not of {dataset}"
        raise invalid_version("snapshot_of_other_dataset", message)
    return snapshot


def _gone(missing: Sequence[Any]) -> HTTPException:
    """410 instead of 404: a valid id comes from an answer, so its versions existed once, and will not return (RFC 9110,
    15.5.11)."""
    if not missing:
        return HTTPException(410, f"Months of this snapshot were dropped and reloaded since. {_HINT}")
    shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    return HTTPException(410, f"No longer stored: {shown}. {_HINT}")
