"""Changes to a source's bytes: of single bytes, of lines and cells, of JSON's nodes, of a ZIP, of the set of files.

Belongs here: one change at a time, decided by a random generator alone, so that a case can be made again. Does not:
what must come of it (judging.py).
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

from city_data_tests.oracles.received import Received

CELLS = [
    "", " ", "NaN", "null", "0", "-1", "-5", "1,5", "1.5", "1.110", "1.000", "1.234,5", "9999", "65535", "1e5", "inf",
    "-0", "+7", "007", "x", "\ufeff", "\x00", '"', "12 ", "S", "E", "M30", "URB", "Ip", "Varias", "2026-09-01",
    "3001.0", "9" * 400, "é", "\u0661", "true", "24:00",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, -1, -999, 101, 9999, 1e300, -1e300, 2**70, float("nan"), float("inf"), "", "NaN", "1,5",
    "15.0", [], {}, [[]], [1, 2], "\x00", "\ud800", "x" * 300, "2026-09-01T00:00:00Z", 1_788_220_800, 1_788_220_800_000,
]  # fmt: skip
TOKENS = [
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"\n\n", b'"', b";", b",", b"{", b"[" * 3000, b"}", b"NaN", b"-",
    b".", b"9" * 50, b"<html>",
]  # fmt: skip

Mutation = Callable[[Random, bytes], bytes]


def mutated(random: Random, payloads: list[Received]) -> list[Received]:
    """One change to one of the payloads, or to which there are."""
    if not payloads or random.random() < 0.04:
        return _other_set(random, payloads)
    place = random.randrange(len(payloads))
    body = payloads[place]
    changed = Received.of(body.name, _changed(random, bytes(body)))
    return [*payloads[:place], changed, *payloads[place + 1 :]]


def _other_set(random: Random, payloads: list[Received]) -> list[Received]:
    """One lost, one twice, or in another order; never more than twice as many."""
    listed = list(payloads)
    choice = random.randrange(3)
    if choice == 0 and len(listed) > 1:
        del listed[random.randrange(len(listed))]
    elif choice == 1 and len(listed) > 1:
        listed.append(random.choice(listed))
    else:
        random.shuffle(listed)
    return listed


def _changed(random: Random, body: bytes) -> bytes:
    if body[:2] == b"PK" and random.random() < 0.8:
        return _in_zip(random, body)
    if random.random() < 0.35:
        return random.choice(BYTES)(random, body)
    if body.lstrip(b"\xef\xbb\xbf \n")[:1] in (b"{", b"["):
        return _in_json(random, body)
    return random.choice(LINES)(random, body)


def _in_zip(random: Random, body: bytes) -> bytes:
    """The same change inside the file that is packed, or another container of it."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            entries = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, RuntimeError, OSError, EOFError):
        return random.choice(BYTES)(random, body)
    method = zipfile.ZIP_STORED if random.random() < 0.05 else zipfile.ZIP_DEFLATED
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for number, (name, content) in enumerate(entries):
            archive.writestr(name, _changed(random, content) if number == 0 else content)
        other = random.choice(["__MACOSX/._x", "leeme.txt", "otra/01-2020.csv"])
        if random.random() < 0.05 and other not in archive.namelist():
            archive.writestr(other, "x")
    return packed.getvalue()


def _cut(random: Random, body: bytes) -> bytes:
    return body[: random.randrange(len(body) + 1)]


def _flip(random: Random, body: bytes) -> bytes:
    changed = bytearray(body)
    for _ in range(random.choice([1, 1, 1, 3, 20])):
        if changed:
            changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


def _insert(random: Random, body: bytes) -> bytes:
    place = random.randrange(len(body) + 1)
    return body[:place] + random.choice(TOKENS) + body[place:]


def _lose(random: Random, body: bytes) -> bytes:
    place = random.randrange(len(body) + 1)
    return body[:place] + body[place + random.choice([1, 1, 2, 10, 100]) :]


def _repeat(random: Random, body: bytes) -> bytes:
    start, end = sorted(random.randrange(len(body) + 1) for _ in range(2))
    return body[:end] + body[start:end][:5000] + body[end:]


def _recoded(random: Random, body: bytes) -> bytes:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        text = body.decode("latin-1")
    return text.encode(random.choice(["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp500"]), "replace")


BYTES: list[Mutation] = [_cut, _flip, _flip, _insert, _insert, _lose, _repeat, _recoded]


def _lines(body: bytes) -> list[bytes]:
    return body.split(b"\n")


def _separator(body: bytes) -> bytes:
    return b";" if body.count(b";") >= body.count(b",") else b","


def _shuffled(random: Random, body: bytes) -> bytes:
    head, *rest = _lines(body)
    random.shuffle(rest)
    return b"\n".join([head, *rest])


def _line(random: Random, body: bytes) -> bytes:
    """One line lost, repeated, moved, blank or foreign."""
    lines = _lines(body)
    place = random.randrange(len(lines))
    choice = random.randrange(5)
    if choice == 0:
        del lines[place]
    elif choice == 1:
        lines.insert(random.randrange(len(lines)), lines[place])
    elif choice == 2:
        lines.append(lines.pop(place))
    else:
        lines.insert(place, random.choice([b"", b" ", b"(9 rows)", b";;;;;;;;", b",,,"]))
    return b"\n".join(lines)


def _cell(random: Random, body: bytes) -> bytes:
    """One cell of one line, or of a column in some or all of them."""
    lines, mark = _lines(body), _separator(body)
    column = random.randrange(max(1, len(lines[0].split(mark))))
    share = random.choice([0.0, 0.0, 0.0, 0.1, 0.5, 1.0])
    chosen = {random.randrange(len(lines))} | {n for n in range(1, len(lines)) if random.random() < share}
    cell = random.choice(CELLS).encode("utf-8", "surrogatepass")
    for place in chosen:
        cells = lines[place].split(mark)
        if column < len(cells):
            cells[column] = cell
            lines[place] = mark.join(cells)
    return b"\n".join(lines)


def _other_number(random: Random, body: bytes) -> bytes:
    """A column's numbers written another way."""
    lines, mark = _lines(body), _separator(body)
    column = random.randrange(max(1, len(lines[0].split(mark))))
    forms = [b"%s.0", b"%s,0", b'"%s"', b" %s", b"%s ", b"+%s", b"0%s", b"%s.000", b"1.%s"]
    form = random.choice(forms)
    for place in range(1, len(lines)):
        cells = lines[place].split(mark)
        if column < len(cells) and cells[column].strip(b'" ').isdigit():
            cells[column] = form % cells[column].strip(b'" ')
            lines[place] = mark.join(cells)
    return b"\n".join(lines)


def _column(random: Random, body: bytes) -> bytes:
    """A column lost, added, renamed, twice, or in another place."""
    lines, mark = _lines(body), _separator(body)
    count = len(lines[0].split(mark))
    order = list(range(count))
    choice = random.randrange(4)
    if choice == 0:
        order.remove(random.choice(order))
    elif choice == 1:
        order.insert(random.randrange(count + 1), random.choice(order))
    elif choice == 2:
        random.shuffle(order)
    else:
        cells = lines[0].split(mark)
        cells[random.randrange(count)] = random.choice([b"otro", b"", b"FECHA", b" id ", b"\xff"])
        lines[0] = mark.join(cells)
    cut = [line.split(mark) for line in lines]
    return b"\n".join(mark.join(cells[n] for n in order) if len(cells) == count else mark.join(cells) for cells in cut)


def _spelling(random: Random, body: bytes) -> bytes:
    """Separators, line ends, capitals or quotes of the whole file."""
    mark = _separator(body)
    return random.choice(
        [
            lambda: body.replace(mark, random.choice([b"\t", b"|", b";", b","])),
            lambda: body.replace(b"\n", random.choice([b"\r\n", b"\r", b"\n\n"])),
            lambda: body.upper(),
            lambda: body.replace(b'"', b""),
            lambda: body.replace(mark, b'"' + mark + b'"'),
            lambda: body.replace(b" ", random.choice([b"T", b"  ", b""])),
            lambda: body.replace(b":00" + mark, random.choice([b"", b":00.0", b":00+01:00", b":00Z"]) + mark),
        ]
    )()


LINES: list[Mutation] = [_shuffled, _line, _line, _cell, _cell, _cell, _other_number, _column, _spelling]


def _in_json(random: Random, body: bytes) -> bytes:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return random.choice(BYTES)(random, body)
    holder = {"document": document}
    spots = list(_spots(holder))
    for _ in range(random.choice([1, 1, 2, len(spots) // 4 + 1])):
        _change_spot(random, *random.choice(spots))
    return json.dumps(holder["document"], ensure_ascii=random.random() < 0.8).encode("utf-8", "surrogatepass")


def _spots(node: Any) -> list[tuple[Any, Any]]:
    """Every place in the document, as a container and its key."""
    found, waiting = [], [node]
    while waiting:
        container = waiting.pop()
        keys = list(container) if isinstance(container, dict) else range(len(container))
        for key in keys:
            found.append((container, key))
            if isinstance(container[key], dict | list):
                waiting.append(container[key])
    return found


def _change_spot(random: Random, container: Any, key: Any) -> None:
    is_there = key in container if isinstance(container, dict) else key < len(container)
    if not is_there:
        return
    value, choice = container[key], random.randrange(6)
    if choice == 0 and "document" not in container:
        del container[key]
    elif choice == 1 and isinstance(container, list):
        container.insert(random.randrange(len(container) + 1), value)
    elif choice == 2 and isinstance(value, list):
        random.shuffle(value)
    elif choice == 3 and isinstance(value, int | float) and not isinstance(value, bool):
        container[key] = random.choice([str(value), value * 2, -value, value + 0.5, f"{value}".replace(".", ",")])
    else:
        container[key] = random.choice(VALUES)
