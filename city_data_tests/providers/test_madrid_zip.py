"""The ZIP around a month of Madrid: other entries, methods, damage."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from city_data.providers.base import PermanentError
from city_data_tests.providers.madrid_files import HEADER, parsed
from city_data_tests.providers.test_madrid_cells import MONTH, good, volumes


def packed(folder: Path, *entries: tuple[str, str], method: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder / "09-2026.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, text in entries:
            archive.writestr(name, text)
    return path


def test_only_the_zip_entry_of_the_month_is_read(tmp_path: Path) -> None:
    text = "\n".join([HEADER, *good()]) + "\n"
    for others in ([("__MACOSX/._09-2026.csv", "x")], [("__MACOSX/09-2026.csv", "x")], [("leeme.txt", "x")]):
        for entries in ([*others, ("09-2026.csv", text)], [("09-2026.csv", text), *others]):
            assert volumes(parsed(packed(tmp_path, *entries), MONTH)) == [280] * 24


def test_uncompressed_zip_is_read_and_its_damage_detected(tmp_path: Path) -> None:
    path = packed(tmp_path, ("09-2026.csv", "\n".join([HEADER, *good()]) + "\n"), method=zipfile.ZIP_STORED)
    assert volumes(parsed(path, MONTH)) == [280] * 24
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b";200;", b";900;", 1))
    with pytest.raises(PermanentError, match="madrid_opendata: madrid 2026-09"):
        parsed(path, MONTH)


def test_entry_name_with_invalid_utf_8_is_a_typed_error(tmp_path: Path) -> None:
    path = packed(tmp_path, ("09-2026.csv", "\n".join([HEADER, *good()])), ("leáme.txt", "x"))
    path.write_bytes(path.read_bytes().replace("leáme".encode(), b"le\xff\xfeme"))
    with pytest.raises(PermanentError, match="not a complete ZIP"):
        parsed(path, MONTH)


def test_zip_entry_without_a_name_is_no_obstacle(tmp_path: Path) -> None:
    path = packed(tmp_path, ("09-2026.csv", "\n".join([HEADER, *good()]) + "\n"), ("x", "y"))
    whole = path.read_bytes()
    place = whole.rindex(b"PK\x01\x02")  # the directory's record of the second entry: its name becomes a comment
    nameless = bytearray(whole)
    nameless[place + 28 : place + 30], nameless[place + 32 : place + 34] = b"\0\0", b"\1\0"
    path.write_bytes(nameless)
    assert [info.filename for info in zipfile.ZipFile(path).infolist()] == ["09-2026.csv", ""]
    assert volumes(parsed(path, MONTH)) == [280] * 24
