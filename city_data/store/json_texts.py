"""The rows of a table as JSON objects, written column by column.

Belongs here: the text of values and objects, byte for byte as orjson writes each row by itself, in a quarter of the
time. Does not: joining objects and months (record_formats.py).

Each distinct value of a column is written once. A value that all rows share becomes a part of the text between values.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    import pyarrow as pa


def json_texts(tables: Sequence[pa.Table], verbatim: str, after: bytes) -> list[bytes | memoryview]:
    """Each table's objects, each followed by `after`; texts of the column `verbatim` are JSON already.

    The tables have one schema. They are written together: of a month of days most of the time is Arrow's calls.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    edges = [0, *accumulate(table.num_rows for table in tables)]
    if not edges[-1]:
        return [b""] * len(tables)
    (batch,) = pa.concat_tables(tables).combine_chunks().to_batches()
    parts: list[Any] = []
    between = "{"
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        between += f"{orjson.dumps(name).decode()}:"
        texts = _texts(column, is_json=name == verbatim)
        if isinstance(texts, str):
            between += texts
        else:
            parts += [between, texts]
            between = ""
        between += ","
    objects = pc.binary_join_element_wise(*parts, f"{between[:-1]}}}{after.decode()}", "")
    if isinstance(objects, pa.Scalar):  # every column has one value
        return [str(objects).encode() * int(table.num_rows) for table in tables]
    _, offsets, text = (buffer and memoryview(buffer).cast("B") for buffer in objects.buffers())  # of a new array
    starts = offsets.cast("i")
    # Views: a copy of a month of hours is a megabyte requested of the system.
    return [text[starts[first] : starts[end]] for first, end in pairwise(edges)]


def moment_texts(column: Any) -> Any:
    """Times of an Arrow array or chunked array as RFC 3339 in UTC, with microseconds where there are any."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.cast(column.cast(pa.timestamp("us")), pa.string())
    texts = pc.replace_substring(pc.replace_substring(texts, " ", "T"), ".000000", "")
    return pc.binary_join_element_wise(texts, "Z", "")


def _texts(column: pa.Array[Any], *, is_json: bool) -> pa.Array[Any] | str:
    """Each value's JSON text, or the one text of all values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.null_count == len(column):
        return "null"
    if pa.types.is_timestamp(column.type):
        return pc.fill_null(pc.binary_join_element_wise('"', moment_texts(column), '"', ""), "null")
    if pa.types.is_boolean(column.type) and not column.null_count:  # masks, a third of a frame's columns
        if column.true_count in (0, len(column)):
            return "true" if column.true_count else "false"
        return pc.if_else(column, "true", "false")
    encoded = pc.dictionary_encode(column, null_encoding="encode")
    values = encoded.dictionary.to_pylist()
    texts: Sequence[str | bytes]
    if is_json:
        texts = ["null" if value is None else value for value in values]
    elif pa.types.is_string(column.type):
        texts = [orjson.dumps(value) for value in values]
    else:
        texts = orjson.dumps(values)[1:-1].split(b",")
    written = pa.array(texts, pa.string())
    return str(written[0]) if len(texts) == 1 else written.take(encoded.indices)
