"""Which versions a read is answered from: the current ones, those of a snapshot id, or those of a moment.

Belongs here: the choice, and its refusals. Does not: what an id says (snapshot_ids.py), or bytes (bodies/reader.py).
Nothing is written: an id describes itself, and versions are kept until their month expires.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import HTTPException

from api.errors import Loc, invalid
from api.query.interval import parse_moment
from api.query.snapshot_ids import SnapshotId, StoredVersion, digest
from api.query.versions import Versions
from city_data.cities import City
from city_data.datasets import DatasetName
from city_data.store.versions import Version
from city_data.window import Month, as_of

_ANEW = "Read without `version` for the present data, whose X-Snapshot-Id names what is kept now."


@dataclass(frozen=True)
class Snapshots:
    """One an app."""

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

        Raises 422 for what is no id of this city and dataset and for a moment that is none, has not come, or stands
        beside an id; 410 where versions are not kept any more; DatabaseUnavailable.
        """
        if version is not None and moment is not None:
            raise invalid(loc, "as_of", "exclusive", "give `version` or `as_of`, not both", moment)
        if version is not None:
            return await self._named(_parse(loc, city, dataset, version), dataset, fresh)
        if moment is not None:
            at = parse_moment(loc, "as_of", moment, city.timezone)
            if at > as_of():
                message = "lies in the future: what will be current then is not known yet"
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
    """Each month's version that was current at `at`. Raises 410 where it may have been one that is not kept."""
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
    def refusal(kind: str, message: str) -> Exception:
        return invalid(loc, "version", kind, message, text)

    try:
        snapshot = SnapshotId.parse(text)
    except ValueError as error:
        raise refusal("snapshot_id", str(error)) from None
    if snapshot.city_id != city.city_id:
        message = f"a snapshot of {snapshot.city_id}, and {city.city_id} answers for this location"
        raise refusal("snapshot_of_other_city", message)
    if dataset not in snapshot.months:
        message = f"a snapshot of {' and '.join(snapshot.months)}, and this is {dataset}"
        raise refusal("snapshot_of_other_dataset", message)
    return snapshot


def _gone(missing: Sequence[Any]) -> HTTPException:
    """410 and not 404: a well-formed id can only have come from an answer, so what it names was there once, and will
    not come back (RFC 9110, 15.5.11)."""
    if not missing:
        return HTTPException(410, f"Months of this snapshot were dropped and loaded anew since. {_ANEW}")
    shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    return HTTPException(410, f"Not kept any more: {shown}. {_ANEW}")
