"""What must not change a month of weather does not; what cannot be read for certain is refused or counted."""

from __future__ import annotations

import codecs
import json
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from city_data_tests.relations import Outcome, assert_never_silent, assert_same, assert_same_or_refused, outcome
from city_data_tests.relations.weather import MONTHS, WIRES, Row, Wire

SEEDS = st.integers(0, 2**32)
FEW = settings(max_examples=2, phases=[Phase.generate])
CSV = [name for name in WIRES if name.startswith("meteo_france")]
JSON = [name for name in WIRES if name not in CSV]
BY_STATION = ["aemet", *CSV]
STATION = {"aemet": "indicativo", "meteo_france files": "NUM_POSTE", "meteo_france orders": "POSTE"}


class Told:
    """A generated month: its rows, and what comes of their bytes."""

    def __init__(self, name: str, seed: int, month: str | None = None) -> None:
        self.wire: Wire = WIRES[name]
        self.chance = random.Random(seed)
        self.request = self.wire.request(month or self.chance.choice(MONTHS))
        self.rows = self.wire.rows(self.request, self.chance)
        self.before = self.of(self.rows)
        assert self.before.month is not None, self.before.refusal

    def of(self, *parts: Sequence[Row], change: Callable[[bytes], bytes] = lambda body: body) -> Outcome:
        bodies = [change(self.wire.encode(part)) for part in parts]
        return outcome(self.wire.provider, self.request, bodies)

    def cells(self, change: Callable[[str, object], object]) -> list[Row]:
        """The rows with every value, blocks of values included, as `change` makes it of name and value."""

        def changed(row: Row) -> Row:
            return {k: changed(v) if isinstance(v, dict) else change(k, v) for k, v in row.items()}

        return [changed(row) for row in self.rows]

    def counts(self) -> tuple[int, int, dict[str, int]]:
        month = self.before.month
        assert month is not None
        return month.received, month.used, dict(month.nulled)


@pytest.mark.parametrize("name", WIRES)
@FEW
@given(seed=SEEDS)
def test_the_order_of_rows_changes_nothing(name: str, seed: int) -> None:
    told = Told(name, seed)
    doubled = told.rows + [row | {} for row in told.chance.sample(told.rows, 20)]
    shuffled = told.chance.sample(doubled, len(doubled))
    assert_same(told.of(doubled), told.of(shuffled))
    assert_same(told.before, told.of(told.chance.sample(told.rows, len(told.rows))))


@pytest.mark.parametrize("name", WIRES)
@FEW
@given(seed=SEEDS)
def test_disagreeing_rows_give_one_month_in_any_order(name: str, seed: int) -> None:
    """A second row of some hours that says something else: which one counts does not depend on where it stands."""
    told = Told(name, seed)
    other = Told(name, seed + 1, str(told.request.month)).rows
    both = told.rows + told.chance.sample(other, 20)
    one, two = told.of(both), told.of(told.chance.sample(both, len(both)))
    assert_same(one, two)
    assert one.month is not None
    assert two.month is not None
    assert one.month.rejected.get("disagreeing", 0) > 0
    assert dict(one.month.rejected) == dict(two.month.rejected)
    assert dict(one.month.nulled) == dict(two.month.nulled)


@pytest.mark.parametrize("name", WIRES)
@FEW
@given(seed=SEEDS)
def test_rows_that_are_repeated_count_once(name: str, seed: int) -> None:
    told = Told(name, seed)
    after = told.of([copy for row in told.rows for copy in (row, row)])
    assert_same(told.before, after)
    received, used, nulled = told.counts()
    assert after.month is not None
    assert (after.month.received, after.month.used, dict(after.month.nulled)) == (2 * received, used, nulled)
    assert after.month.rejected["duplicate"] >= used


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize("full_first", [False, True])
@FEW
@given(seed=SEEDS)
def test_a_row_with_values_wins_over_an_empty_one(name: str, full_first: bool, seed: int) -> None:
    told = Told(name, seed)
    kept = {"fecha", "indicativo", "time", "dt", "NUM_POSTE", "AAAAMMJJHH", "POSTE", "DATE", "altitud", "ALTI"}
    empty: list[Row] = [
        {key: value for key, value in row.items() if key in kept} | ({"main": {}} if "main" in row else {})
        for row in told.rows
    ]
    both = [*told.rows, *empty] if full_first else [*empty, *told.rows]
    assert_same(told.before, told.of(both))


@pytest.mark.parametrize("name", WIRES)
@FEW
@given(seed=SEEDS)
def test_a_month_in_several_files_is_the_same_month(name: str, seed: int) -> None:
    told = Told(name, seed)
    cut = told.chance.randrange(1, len(told.rows))
    assert_same(told.before, told.of(told.rows[:cut], told.rows[cut:]))
    assert_same(told.before, told.of(told.rows[cut:], told.rows[:cut]))
    assert_same(told.before, told.of(told.rows, told.rows))


@pytest.mark.parametrize("name", WIRES)
@FEW
@given(seed=SEEDS)
def test_unknown_columns_change_nothing(name: str, seed: int) -> None:
    told = Told(name, seed)
    assert_same(told.before, told.of([row | {"nuevo": "9,9", "QNEW": "2"} for row in told.rows]))


@pytest.mark.parametrize("name", BY_STATION)
@FEW
@given(seed=SEEDS)
def test_other_stations_change_nothing_and_a_month_of_only_them_is_refused(name: str, seed: int) -> None:
    told = Told(name, seed)
    others = [row | {STATION[name]: "0076" if name == "aemet" else "69029001"} for row in told.rows]
    after = told.of(told.chance.sample([*told.rows, *others], 2 * len(told.rows)))
    assert_same(told.before, after)
    assert after.month is not None
    assert after.month.rejected["other_station"] > 0
    alone = told.of(others)
    assert alone.month is None
    assert "about the stations" in alone.refusal


@pytest.mark.parametrize("name", WIRES)
@FEW
@given(seed=SEEDS)
def test_an_answer_about_another_month_is_refused(name: str, seed: int) -> None:
    told = Told(name, seed)
    far = told.wire.request("2025-06")
    made = outcome(told.wire.provider, far, [told.wire.encode(told.rows)])
    assert made.month is None


@pytest.mark.parametrize("name", WIRES)
@FEW
@given(seed=SEEDS)
def test_a_byte_order_mark_and_blanks_around_change_nothing(name: str, seed: int) -> None:
    told = Told(name, seed)

    def marked(body: bytes) -> bytes:
        """AEMET's Latin-9 has no mark: a copy that has one is UTF-8."""
        text = body.decode("iso-8859-15") if name == "aemet" else body.decode()
        return codecs.BOM_UTF8 + text.encode() + b"\n\n"

    assert_same(told.before, told.of(told.rows, change=marked))


@pytest.mark.parametrize("name", JSON)
@FEW
@given(seed=SEEDS)
def test_the_layout_of_json_changes_nothing(name: str, seed: int) -> None:
    told = Told(name, seed)
    encoding = "iso-8859-15" if name == "aemet" else "utf-8"

    def laid_out(body: bytes) -> bytes:
        return json.dumps(json.loads(body.decode(encoding)), indent=2, ensure_ascii=True, sort_keys=True).encode()

    assert_same(told.before, told.of(told.rows, change=laid_out))
    assert_same(told.before, told.of(told.rows, change=lambda body: body.decode(encoding).encode()))


@pytest.mark.parametrize("name", CSV)
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\r\n", "\n"),
        lambda text: text.replace("\r\n", "\n").replace("\n", "\r\n"),
        lambda text: text + "\n;;;\n\n",
        lambda text: text + ";" * text.splitlines()[0].count(";") + "\n",
        lambda text: text.rstrip("\r\n"),
        lambda text: text.replace(";", " ; "),
        lambda text: "\n".join(";".join(f'"{cell}"' for cell in line.split(";")) for line in text.splitlines()),
        lambda text: text.splitlines()[0].lower() + "\n" + "\n".join(text.splitlines()[1:]),
        lambda text: text.splitlines()[0].replace(";", " ; ") + "\n" + "\n".join(text.splitlines()[1:]),
    ],
    ids=["LF", "CRLF", "a footer", "blanks at the end", "no last end", "blanks", "quotes", "lower case", "header"],
)
@FEW
@given(seed=SEEDS)
def test_csv_dialect_changes_no_value(name: str, change: Callable[[str], str], seed: int) -> None:
    told = Told(name, seed)
    assert_same(told.before, told.of(told.rows, change=lambda body: change(body.decode()).encode()))
    assert_same(told.before, told.of(told.rows, change=lambda body: change(body.decode()).encode("latin-1")))


@pytest.mark.parametrize("name", ["aemet", "openweather", "open_meteo"])
@pytest.mark.parametrize("spelled", [str.upper, str.lower, lambda key: f" {key} "], ids=["upper", "lower", "blanks"])
@FEW
@given(seed=SEEDS)
def test_the_spelling_of_keys_changes_no_value(name: str, spelled: Callable[[str], str], seed: int) -> None:
    told = Told(name, seed)

    def respelled(row: Row) -> Row:
        return {
            spelled(key) if key not in ("time", "description") else key: respelled(v) if isinstance(v, dict) else v
            for key, v in row.items()
        }

    assert_same_or_refused(told.before, told.of([respelled(row) for row in told.rows]))


@pytest.mark.parametrize("name", BY_STATION)
@pytest.mark.parametrize("spelled", [lambda s: f" {s}", lambda s: f"{s} ", lambda s: f"\t{s}\t"])
@FEW
@given(seed=SEEDS)
def test_blanks_around_a_station_change_nothing(name: str, spelled: Callable[[str], str], seed: int) -> None:
    told = Told(name, seed)
    field = STATION[name]
    assert_same(told.before, told.of([row | {field: spelled(row[field])} for row in told.rows]))


def texts(change: Callable[[str], str]) -> Callable[[str, object], object]:
    """`change` for the numbers among texts."""

    def changed(name: str, value: object) -> object:
        kept = name in ("fecha", "indicativo", "nombre", "NOM_USUEL", "time", "description", "NUM_POSTE", "POSTE")
        if kept or name in ("AAAAMMJJHH", "DATE", "dt") or isinstance(value, list) or value is None:
            return value
        text = str(value)
        return change(text) if text.strip("+-").replace(",", "").replace(".", "").isdigit() else value

    return changed


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize("write", [lambda t: f" {t} ", lambda t: f"{t}\u00a0"], ids=["blanks", "hard blank"])
@FEW
@given(seed=SEEDS)
def test_blanks_around_numbers_change_nothing(name: str, write: Callable[[str], str], seed: int) -> None:
    told = Told(name, seed)
    assert_same_or_refused(told.before, told.of(told.cells(texts(write))))


REWRITTEN: dict[str, Callable[[str], str]] = {
    "the other mark": lambda t: t.translate(str.maketrans(",.", ".,")),
    "thousands": lambda t: f"1.{t}" if len(t) > 3 else t,
    "thousands and comma": lambda t: f"{float(t.replace(',', '.')):,.1f}".translate(str.maketrans(",.", ".,")),
    "a plus": lambda t: t if t.startswith("-") else f"+{t}",
    "two zeros more": lambda t: f"{t}00" if "," in t or "." in t else t,
    "an exponent": lambda t: f"{float(t.replace(',', '.')):e}",
    "NaN": lambda t: "NaN",
    "inf": lambda t: "inf",
    "null": lambda t: "null",
    "a dash": lambda t: "-",
    "a unit": lambda t: f"{t} mm",
    "other digits": lambda t: t.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")),
    "a wide minus": lambda t: t.replace("-", "−"),
    "text": lambda t: t,
}


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize("how", REWRITTEN)
@pytest.mark.parametrize("share", [1.0, 0.03])
@settings(max_examples=1, phases=[Phase.generate])
@given(seed=SEEDS)
def test_numbers_in_another_notation_are_read_refused_or_counted(name: str, how: str, share: float, seed: int) -> None:
    told = Told(name, seed)
    change = texts(REWRITTEN[how])
    rows = told.cells(lambda key, value: change(key, value) if told.chance.random() < share else value)
    after = told.of(rows)
    assert_never_silent(told.before, after)
    if how in ("NaN", "inf", "the other mark") and share == 1.0:
        assert after.month is None, "a whole month of them is a change of format"
