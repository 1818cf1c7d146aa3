"""Writing records in a format. Belongs here: the bytes of a month, and the delimiters around and between months.

Does not: choosing records (record_tables.py), the text of a JSON object (json_texts.py), or compression (encodings.py).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

from city_data.store.encodings import Encoding, pack
from city_data.store.json_texts import json_text, moment_texts
from city_data.store.record_tables import RAW
from city_data.store.segments import SEPARATOR, Segment

if TYPE_CHECKING:
    import pyarrow as pa

FormatName = Literal["json", "ndjson", "csv", "arrow", "parquet"]
# End of an IPC stream, https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format
_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"


class Delimiters(NamedTuple):
    """The bytes before, between and after the months of an answer."""

    opening: bytes
    between: bytes
    closing: bytes


def delimiters_of(kind: FormatName, schema: Callable[[], pa.Schema]) -> Delimiters:
    """`schema` is called for formats whose header names the fields."""
    match kind:
        case "json":
            return Delimiters(b"[", SEPARATOR, b"]")
        case "csv":
            return Delimiters((",".join(schema().names) + "\n").encode(), b"", b"")
        case "arrow":
            return Delimiters(schema().serialize().to_pybytes(), b"", _END_OF_STREAM)
        case _:
            return Delimiters(b"", b"", b"")


def month_segment(kind: FormatName, table: pa.Table, encoding: Encoding) -> Segment:
    """A month's records, to be joined with other months' inside a `Delimiters` by `splice`."""
    return pack(_month_text(kind, table, encoding) if table.num_rows else b"", table.num_rows, encoding)


def _month_text(kind: FormatName, table: pa.Table, encoding: Encoding) -> bytes | memoryview:
    match kind:
        case "csv":
            return _csv(table)
        case "arrow":
            # By Arrow itself where nothing else compresses: a quarter of the bytes for readers of plain URLs. Clients
            # that accept an encoding, as all browsers do, need no codec of Arrow's.
            return _arrow(table, "zstd" if encoding == "identity" else None)
        case "parquet":
            raise ValueError("a Parquet file cannot be joined from months")
        case "json":
            return json_text(table, RAW, SEPARATOR)[: -len(SEPARATOR)]
        case "ndjson":
            return json_text(table, RAW, b"\n")


def from_records(kind: FormatName, records: list[bytes]) -> bytes:
    """A month's text in a JSON format, from its JSON objects."""
    return SEPARATOR.join(records) if kind == "json" else b"".join(record + b"\n" for record in records)


def parquet(tables: list[pa.Table], schema: pa.Schema) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole, sink = schema.empty_table(), pa.BufferOutputStream()
    if tables:
        whole = pa.concat_tables(tables).combine_chunks()
    # Every date occurs once: a dictionary of them was half of a file of two years of hours (240 KiB).
    times = [field.name for field in schema if pa.types.is_timestamp(field.type)]
    others = [name for name in schema.names if name not in times]
    encodings = dict.fromkeys(times, "DELTA_BINARY_PACKED")
    pq.write_table(whole, sink, compression="zstd", use_dictionary=others, column_encoding=encodings)
    return bytes(sink.getvalue())


def _arrow(table: pa.Table, codec: str | None) -> bytes:
    """The table as one batch, without the stream's schema and end."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as stream:
        stream.write_table(table.combine_chunks())
    opening, _, closing = delimiters_of("arrow", lambda: table.schema)
    return bytes(sink.getvalue())[len(opening) : -len(closing)]


def _csv(table: pa.Table) -> bytes:
    """CSV with times as in JSON. Texts are quoted, which distinguishes an empty text from null."""
    import pyarrow as pa
    import pyarrow.csv as arrow_csv

    for position, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(position, field.name, moment_texts(table[field.name]))
    sink = io.BytesIO()
    arrow_csv.write_csv(table, sink, arrow_csv.WriteOptions(include_header=False))
    return sink.getvalue()
