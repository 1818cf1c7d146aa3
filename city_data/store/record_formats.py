"""Writing records in a format. Belongs here: the bytes of a month, and the delimiters around and between months.

Does not: choosing records (record_tables.py), the text of a JSON object (json_texts.py), or compression (encodings.py).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, NamedTuple

from city_data.store.encodings import Encoding, pack
from city_data.store.json_texts import json_texts, moment_texts
from city_data.store.record_tables import RAW
from city_data.store.segments import SEPARATOR, Segment

if TYPE_CHECKING:
    import pyarrow as pa

FormatName = Literal["json", "ndjson", "csv", "arrow", "parquet"]
_ROWS_TOGETHER = 5_000  # 8 MB of text of a frame of hours
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


def month_segments(kind: FormatName, months: Iterable[pa.Table], encoding: Encoding) -> Iterator[Segment]:
    """Each month's records, to be joined with other months' inside a `Delimiters` by `splice`.

    Months of one schema. They are taken, and written, so many at a time as have _ROWS_TOGETHER rows; meanwhile those
    before are compressed, which needs no interpreter and is a third of the work.
    """
    packed = list[Future[Segment]]()
    with ThreadPoolExecutor(1) as packing:
        for tables in _groups(months):
            texts = zip(tables, _texts(kind, tables, encoding), strict=True)
            before, packed = packed, [packing.submit(_packed, table, text, encoding) for table, text in texts]
            yield from (one.result() for one in before)
        yield from (one.result() for one in packed)


def _packed(table: pa.Table, text: bytes | memoryview, encoding: Encoding) -> Segment:
    return pack(text if table.num_rows else b"", table.num_rows, encoding)


def _groups(tables: Iterable[pa.Table]) -> Iterator[list[pa.Table]]:
    group, rows = list["pa.Table"](), 0
    for table in tables:
        if group and rows + table.num_rows > _ROWS_TOGETHER:
            yield group
            group, rows = [], 0
        group.append(table)
        rows += table.num_rows
    if group:
        yield group


def _texts(kind: FormatName, tables: list[pa.Table], encoding: Encoding) -> Sequence[bytes | memoryview]:
    match kind:
        case "csv":
            return [_csv(table) for table in tables]
        case "arrow":
            # By Arrow itself where nothing else compresses: a quarter of the bytes for readers of plain URLs. Clients
            # that accept an encoding, as all browsers do, need no codec of Arrow's.
            return [_arrow(table, "zstd" if encoding == "identity" else None) for table in tables]
        case "parquet":
            raise ValueError("a Parquet file cannot be joined from months")
        case "json":
            return [text[: -len(SEPARATOR)] for text in json_texts(tables, RAW, SEPARATOR)]
        case "ndjson":
            return json_texts(tables, RAW, b"\n")


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
