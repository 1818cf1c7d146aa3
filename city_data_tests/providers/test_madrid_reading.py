"""Cells of Madrid's files: whether Polars reads them as numbers or the reader as texts, they mean the same."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from city_data.providers.base import PermanentError
from city_data_tests.providers.madrid_files import HEADER, hour, parsed, zipped

MONTH = "2026-09"
LINES = [
    line
    for face in range(24)
    for line in hour(3001, f"{MONTH}-01 {face:02d}", 200)
    + hour(1001, f"{MONTH}-01 {face:02d}", 1000, kind="M30", rest="1;0;80;N;5")
]
ODD_CELLS = (
    "", "NaN", '"NaN"', '""', '"', '7"', '"7', '"7"', '5"5', '""7""', '"7""8"', '"7;8"', '"7;', '7;8', "+7", "-0",
    " 7", '" 7 "', "7 ", "007", "1e3", "1.110", "7.5", "7,5", "inf", "4294967299", "0", "-3", "M30", '"M30"', 'M"30',
    "E", '"s"', "\u00a07", "2026-09-01T05:15", '"2026-09-01 05:15:00', "01/09/2026 05:15",
)  # fmt: skip


@pytest.mark.parametrize("order", [HEADER, "id;fecha;error;tipo_elem;ocupacion;carga;vmed;intensidad;extra"])
def test_cell_means_the_same_in_a_plain_and_in_any_other_file(tmp_path: Path, order: str) -> None:
    """Numbers with decimals elsewhere make the reader take every cell as text."""
    names, known = order.split(";"), HEADER.split(";")
    lines = [dict(zip(known, line.split(";"), strict=True), extra="1") for line in LINES]

    def outcome(place: int, column: str, odd: str, flow: str) -> str:
        changed = [dict(line) for line in lines]
        changed[place][column], changed[-1]["intensidad"] = odd, flow
        text = "\n".join([order, *(";".join(line[name] for name in names) for line in changed)])
        try:
            month = parsed(zipped(tmp_path, MONTH, text), MONTH)
        except PermanentError as error:
            return str(error)
        return f"{month.frame.to_csv()} {month.rejected} {month.nulled} {month.used} {month.provenance['valid_rows']}"

    chance = random.Random(1)
    for column, odd in chance.sample([(column, odd) for column in names for odd in ODD_CELLS], 12):
        place = chance.randrange(20, 28)
        assert outcome(place, column, odd, "1000") == outcome(place, column, odd, "1000.0"), (column, odd)
