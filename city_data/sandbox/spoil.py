"""Rewriting a good answer into a bad one: columns, values, rows, charset, a foreign second step.

Belongs here: rewriting bytes, by their detected format (a ZIP or gzip of one CSV, a CSV, JSON records,
JSON columns, nested JSON items and features).
Does not: when (faults.py).
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

_AEMET = "iso-8859-15"
_OUTLIER = -999
# The columns of times, by their names at every source, and the forms of texts in them.
_STAMPS = frozenset({"fecha", "data", "AAAAMMJJHH", "time", "dt", "fecha_actualizacion"})
_STAMP_FORMS = {19: "%Y-%m-%d %H:%M:%S", 10: "%Y-%m-%d", 16: "%Y-%m-%dT%H:%M", 14: "%Y%m%d%H%M%S"}
_STAMP_DIGITS = {10: "%Y%m%d%H"}
_FIRST_OUTLIER = 24  # the first hours may be of the month before, in a zone east of Greenwich
_NUMBER = re.compile(r'"?-?[0-9]+[.,][0-9]+"?')
_OTHER_MARK = str.maketrans(".,", ",.")


@dataclass(frozen=True)
class Spoil:
    """With `bad_values` some values are no numbers, or negative; of a table or records, those of `bad_column`.
    `empty_column` stays, without a value; `outliers` values in a row of `outlier_column` become -999; with
    `swap_decimals` numbers are texts with the other decimal mark; `fill_nulls` gives every null the value before it,
    in JSON columns; `shift_minutes` moves every stamp. Values of `scaled_column` are multiplied by `scale`, as another
    unit would be; those of `padded_column` begin with a blank. With `more_cells` each line of a table but the header
    has one cell more."""

    without_column: str | None = None
    extra_column: str | None = None
    bad_values: bool = False
    bad_column: str | None = None
    duplicates: bool = False
    charset: str | None = None
    datos_host: str | None = None
    empty_column: str | None = None
    outlier_column: str | None = None
    outliers: int = 0
    swap_decimals: bool = False
    fill_nulls: bool = False
    shift_minutes: int = 0
    scaled_column: str | None = None
    scale: float = 1.0
    padded_column: str | None = None
    more_cells: bool = False

    def apply(self, body: bytes, rows: int | None = None) -> bytes:
        """The same bytes where no rewriting applies. Of a table no more than the first `rows`."""
        if self == Spoil():
            return body
        if body[:2] == b"PK":
            return self._zip(body, rows)
        if body[:2] == b"\x1f\x8b":
            return self._gzip(body, rows)
        text, encoding = _decoded(body)
        if text.lstrip("\ufeff")[:1].isalpha():
            return self._csv(text, rows).encode(self.charset or encoding)
        if self.datos_host is not None:
            text = text.replace('"datos": "https://opendata.aemet.es/', f'"datos": "https://{self.datos_host}/')
        if replace(self, charset=None, datos_host=None) != Spoil():
            text = json.dumps(self._document(json.loads(text)), ensure_ascii=False)
        return text.encode(self.charset or encoding)

    def _zip(self, body: bytes, most: int | None) -> bytes:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            (name,) = archive.namelist()
            header, *rows = [line.split(";") for line in archive.read(name).decode().split("\r\n") if line]
        lines = self._table(header, rows[:most])
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            text = "\r\n".join(";".join(line) for line in lines) + "\r\n"
            archive.writestr(zipfile.ZipInfo(name), text.encode(self.charset or "utf-8"), zipfile.ZIP_DEFLATED)
        return out.getvalue()

    def _gzip(self, body: bytes, most: int | None) -> bytes:
        header, *rows = [line.split(";") for line in gzip.decompress(body).decode().split("\n") if line]
        text = "\n".join(";".join(line) for line in self._table(header, rows[:most])) + "\n"
        return gzip.compress(text.encode(self.charset or "utf-8"), 1, mtime=0)

    def _csv(self, text: str, most: int | None) -> str:
        lines = text.removeprefix("\ufeff").splitlines()
        separator = ";" if ";" in lines[0] else ","
        header, *rows = [line.split(separator) for line in lines]
        return "\n".join(separator.join(line) for line in self._table(header, rows[:most])) + "\n"

    def _table(self, header: list[str], rows: list[list[str]]) -> list[list[str]]:
        names = [name.strip('"') for name in header]
        if self.bad_values and self.bad_column is not None:
            value = names.index(self.bad_column)
            for index, row in enumerate(rows):
                row[value] = ('"NaN"', '"-5"', row[value], row[value], row[value])[index // 4 % 5]
        rewritten = [(position, name) for position, name in enumerate(names) if self._rewrites(name)]
        for index, row in enumerate(rows if rewritten else ()):
            for position, name in rewritten:
                row[position] = self._cell(name, row[position], index)
        if self.more_cells:
            rows = [[*row, ""] for row in rows]
        if self.duplicates:
            rows = [copy for row in rows for copy in (row, row)]
        lines = [header, *rows]
        if self.without_column is not None:
            removed = names.index(self.without_column)
            lines = [line[:removed] + line[removed + 1 :] for line in lines]
        if self.extra_column is not None:
            lines = [[*line, f'"{self.extra_column}"' if index == 0 else "1"] for index, line in enumerate(lines)]
        return lines

    def _document(self, document: Any) -> Any:
        if isinstance(document, list):
            return self._records(document)
        if isinstance(document.get("hourly"), dict):
            return document | {"hourly": self._columns(document["hourly"])}
        if isinstance(document.get("list"), list):
            items = self._items(document["list"])
            return document | {"cnt": len(items), "list": items}
        if isinstance(document.get("features"), list):
            return document | {"features": self._features(document["features"])}
        return {name: self._below(value) for name, value in document.items()}

    def _below(self, value: Any) -> Any:
        """A list of records, which a document has somewhere below."""
        if isinstance(value, dict):
            return self._document(value)
        return self._records(value) if isinstance(value, list) and value and isinstance(value[0], dict) else value

    def _records(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """One dictionary each; without `bad_column` they are AEMET's."""
        for index, record in enumerate(records):
            if self.without_column is not None:
                record.pop(self.without_column, None)
            if self.extra_column is not None:
                record[self.extra_column] = "1,0"
            if self.bad_values and self.bad_column is not None:
                record[self.bad_column] = ("NaN", -5, *[record[self.bad_column]] * 3)[index // 4 % 5]
            elif self.bad_values:
                record |= {"tmed": "NaN"} if index % 2 else {"velmedia": "-3,0", "prec": "-1,0"}
            if self.empty_column is not None:
                record.pop(self.empty_column, None)  # a missing value has no key
            record |= {name: self._cell(name, text, index) for name, text in record.items()}
        return [copy for record in records for copy in [record] * (2 if self.duplicates else 1)]

    def _items(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for index, item in enumerate(items):
            if self.without_column is not None:
                item["main"].pop(self.without_column, None)
            if self.extra_column is not None:
                item["main"][self.extra_column] = 1.0
            if self.bad_values:
                item |= {"rain": {"1h": -1.0}} if index % 2 else {"wind": {"speed": -3.0}}
            item["dt"] = self._cell("dt", item["dt"], index)
            item["main"] |= {name: self._cell(name, value, index) for name, value in item["main"].items()}
        return [copy for item in items for copy in [item] * (2 if self.duplicates else 1)]

    def _features(self, features: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """ArcGIS features, one record each."""
        for index, feature in enumerate(features):
            record = feature["attributes"]
            if self.bad_values:
                record["ih"] = (None, -1, 911_392, record["ih"], record["ih"])[index % 5]
            if self.without_column is not None:
                record.pop(self.without_column, None)
            if self.extra_column is not None:
                record[self.extra_column] = 1
            record |= {name: self._cell(name, value, index) for name, value in record.items()}
        return [copy for feature in features for copy in [feature] * (2 if self.duplicates else 1)]

    def _columns(self, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        columns = {name: values for name, values in columns.items() if name != self.without_column}
        if self.extra_column is not None:
            columns[self.extra_column] = [1.0] * len(columns["time"])
        if self.bad_values:
            for name in ("precipitation", "wind_speed_10m"):
                columns[name] = [-1.0 if index % 3 == 0 else v for index, v in enumerate(columns.get(name, []))]
        for name, values in columns.items():
            if self.fill_nulls:
                known = next((value for value in values if value is not None), None)
                values = [known := known if value is None else value for value in values]
            columns[name] = [self._cell(name, value, index) for index, value in enumerate(values)]
        if self.duplicates:
            columns = {name: [v for value in values for v in (value, value)] for name, values in columns.items()}
        return columns

    def _rewrites(self, name: str) -> bool:
        """Whether cells of a table's column change: one in hundreds of a wide one."""
        columns = (self.empty_column, self.outlier_column, self.scaled_column, self.padded_column)
        return name in columns or self.swap_decimals or (self.shift_minutes != 0 and name in _STAMPS)

    def _cell(self, name: str, value: Any, index: int) -> Any:
        """One value, of whichever kind the format has: texts stay texts."""
        if name == self.empty_column:
            return "" if isinstance(value, str) else None
        if name == self.outlier_column and 0 <= index - _FIRST_OUTLIER < self.outliers:
            return str(_OUTLIER) if isinstance(value, str) else _OUTLIER
        if name in _STAMPS and self.shift_minutes:
            return self._stamp(value)
        if name == self.padded_column:
            return f" {value}"
        if name == self.scaled_column:
            return self._scaled(value)
        if self.swap_decimals and (isinstance(value, float) or (isinstance(value, str) and _NUMBER.fullmatch(value))):
            return str(value).translate(_OTHER_MARK)
        return value

    def _stamp(self, value: Any) -> Any:
        """A stamp in any of the sources' forms, moved; texts keep their quotes."""
        if isinstance(value, int):
            return value + self.shift_minutes * (60_000 if value > 1e11 else 60)
        text = str(value).strip('"')
        return str(value).replace(text, _moved(text, self.shift_minutes))

    def _scaled(self, value: Any) -> Any:
        if isinstance(value, int | float):
            return round(value * self.scale, 2)
        text = str(value).strip('"')
        if not _NUMBER.fullmatch(text) and not text.isdigit():
            return value
        number = float(text.replace(",", ".")) * self.scale
        scaled = f"{number:.1f}".replace(".", ",") if "," in text else f"{number:g}"
        return str(value).replace(text, scaled)


@lru_cache(maxsize=100_000)
def _moved(text: str, minutes: int) -> str:
    form = (_STAMP_DIGITS if text.isdigit() else {}).get(len(text)) or _STAMP_FORMS.get(len(text))
    if form is None:
        return text
    return (datetime.strptime(text, form) + timedelta(minutes=minutes)).strftime(form)  # noqa: DTZ007  as written


def _decoded(body: bytes) -> tuple[str, str]:
    try:
        return body.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return body.decode(_AEMET), _AEMET
