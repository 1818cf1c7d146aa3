"""The canonical frame of a month: its order, types, rounding, null rows and content hash.

Belongs here: what any dataset's frame has in common. Does not: units and ranges (datasets.py), checks (checks.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from city_data.columns import Kind
from city_data.datasets import Dataset
from city_data.frames import coverage

if TYPE_CHECKING:
    import pandas as pd


def canonical_frame(frame: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """`frame` with the dataset's columns in order, sorted by its key: numbers as rounded floats; text, integers and
    flags as str, int and bool, or None.

    Columns that the source does not have come out NULL. Raises ValueError where the key, `source` or UTC is missing, or
    an integer or flag is none.
    """
    import pandas as pd

    if missing := {*dataset.key, "source"} - set(frame.columns):
        raise ValueError(f"a {dataset.name} frame needs {', '.join(sorted(missing))}")
    if not isinstance(frame["date"].dtype, pd.DatetimeTZDtype) or str(frame["date"].dtype.tz) != "UTC":
        raise ValueError(f"`date` must be in UTC, not {frame['date'].dtype}")
    columns: dict[str, Any] = {"date": frame["date"].astype("datetime64[us, UTC]")}
    for column in dataset.key_columns:
        columns[column.name] = frame[column.name].astype("int64")
    for column in dataset.columns:
        values = frame[column.name] if column.name in frame else pd.Series([None] * len(frame), index=frame.index)
        if column.kind == "number":
            columns[column.name] = pd.to_numeric(values).astype("float64").round(column.decimals) + 0.0  # no -0.0
        else:
            columns[column.name] = _objects(values, _PLAIN[column.kind])
    columns["source"] = frame["source"].astype(object)
    raw = frame["raw_data"] if "raw_data" in frame else pd.Series([None] * len(frame), index=frame.index)
    columns["raw_data"] = _objects(raw)
    return pd.DataFrame(columns)[dataset.frame_columns].sort_values(list(dataset.key), kind="stable", ignore_index=True)


def complete(frame: pd.DataFrame, dataset: Dataset, stamps: Sequence[datetime], source: str) -> pd.DataFrame:
    """`frame` (canonical) with null rows for the stamps' rows that it lacks: a withheld value is a record with null."""
    import pandas as pd

    dates, key = pd.DatetimeIndex(list(stamps), dtype="datetime64[us, UTC]"), list(dataset.key)
    expected = pd.DataFrame({"date": dates}).merge(pd.DataFrame(dataset.key_values, columns=key[1:]), how="cross")
    absent = pd.MultiIndex.from_frame(expected).difference(pd.MultiIndex.from_frame(frame[key])).to_frame(index=False)
    if absent.empty:
        return frame
    rows = canonical_frame(absent.assign(source=source), dataset)
    if frame.empty:
        return rows
    return pd.DataFrame(
        {
            name: pd.Series([*frame[name], *rows[name]], dtype=frame[name].dtype if name != "date" else None)
            for name in dataset.frame_columns
        }
    ).pipe(canonical_frame, dataset)


def observed(frame: pd.DataFrame, dataset: Dataset) -> Mapping[str, int]:
    """In how many rows each column is known."""
    return {str(name): int(count) for name, count in coverage.known(frame, dataset).sum().items()}


def rows_by_key(frame: pd.DataFrame, dataset: Dataset) -> Mapping[str, int]:
    """How many rows with a value each value of the other key columns has."""
    rows = frame[frame[dataset.measured_names].notna().any(axis=1)]
    return {
        f"{name} {value}": int((rows[name] == value).sum())
        for name, values in dataset.values_of_keys.items()
        for value in values
    }


def records(frame: pd.DataFrame, dataset: Dataset) -> list[dict[str, Any]]:
    """The rows as plain values: NaN becomes None, dates become aware datetimes."""
    lists = {"date": list(frame["date"].dt.to_pydatetime())}
    for name in dataset.frame_columns[1:]:
        lists[name] = [
            None if value != value else value for value in frame[name].tolist()
        ]  # only NaN differs from itself
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


# The digests in the ledger count a NULL of these fields. Never add to them: every stored month would be another.
_HASHED_AS_NULL = frozenset(
    {
        *("date", "source", "raw_data"),
        *("temperature", "precipitation", "humidity", "wind_speed", "pressure", "description"),
        *("traffic_volume", "pedestrian_count", "congestion_level", "average_speed"),
    }
)


def content_sha256(rows: Sequence[Mapping[str, Any]]) -> str:
    """A hash of `records`: equal for months of equal content, whenever and wherever they were built.

    A column that was added to a dataset counts where it has a value: a month does not become another by its name.
    """
    if rows and rows[0].keys() - _HASHED_AS_NULL:
        rows = [
            {k: v for k, v in row.items() if v is not None or k in _HASHED_AS_NULL} if None in row.values() else row
            for row in rows
        ]
    return hashlib.sha256(orjson.dumps(rows, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _objects(values: pd.Series[Any], plain: Callable[[Any], Any] = lambda value: value) -> pd.Series[Any]:
    import pandas as pd

    return pd.Series([None if _is_nan(value) else plain(value) for value in values], index=values.index, dtype=object)


def _integer(value: Any) -> int:
    if value != int(value) or isinstance(value, bool):
        raise ValueError(f"{value!r} is not an integer")
    return int(value)


def _flag(value: Any) -> bool:
    if value not in (True, False):
        raise ValueError(f"{value!r} is neither true nor false")
    return bool(value)


_PLAIN: dict[Kind, Callable[[Any], Any]] = {"text": lambda value: value, "integer": _integer, "flag": _flag}


def _is_nan(value: object) -> bool:
    return value is None or (isinstance(value, float) and value != value)
