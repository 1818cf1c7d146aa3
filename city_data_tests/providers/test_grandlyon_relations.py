"""Metamorphic relations of Lyon's pedestrians: pages in another notation, and twice the passages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given

from city_data_tests.oracles.months import grandlyon_opendata as lyon_months
from city_data_tests.oracles.received import Received
from city_data_tests.providers.test_traffic_relations import (
    SEEDS,
    month_of,
    month_of_seed,
    rows_of,
    some,
    values,
    written,
)
from city_data_tests.relations.traffic import times_two


@given(seed=SEEDS)
@some
def test_twice_the_passages_are_twice_the_pedestrians(seed: int) -> None:
    rows = [row for row in rows_of("grandlyon_opendata", seed) if row[4] != "90000"]
    before, after = (
        month_of("grandlyon_opendata", written("grandlyon_opendata", table))
        for table in (rows, times_two(4)(Random(), rows))
    )
    one, two = (values("grandlyon_opendata", month) for month in (before, after))
    assert one.keys() == two.keys()
    for stamp, row in two.items():
        count = one[stamp]["pedestrian_count"]
        assert row["pedestrian_count"] == (None if count is None else pytest.approx(2 * float(count), rel=1e-12))


LYON_JSON: dict[str, Callable[[bytes], bytes]] = {
    "a byte order mark": lambda body: b"\xef\xbb\xbf" + body,
    "indented": lambda body: json.dumps(json.loads(body), indent=1).encode(),
    "unknown fields": lambda body: body.replace(b'{"channel_id"', b'{"gid": 7, "channel_id"'),
    "the portal's other keys": lambda body: body.replace(b'{"values"', b'{"nb_results": 9, "fields": [], "values"'),
    "counts in texts": lambda body: re.sub(rb'"count": ([0-9.]+)', rb'"count": "\1"', body),
    "counts as fractions": lambda body: re.sub(rb'"count": "([0-9]+)"', rb'"count": \1.0', body),
    "empty texts for null": lambda body: body.replace(b"null", b'""'),
    "no keys for null": lambda body: re.sub(rb', "[a-z_]+": null', b"", body),
    "capitals": lambda body: body.replace(b'"start_datetime"', b'"START_DATETIME"'),
}


@pytest.mark.parametrize("change", LYON_JSON)
def test_pages_of_lyon_in_another_notation_are_the_same_month(change: str) -> None:
    rows = rows_of("grandlyon_opendata", 5)
    body = LYON_JSON[change](lyon_months.page(rows))
    before, after = month_of_seed("grandlyon_opendata", 5), month_of("grandlyon_opendata", Received.of("1.json", body))
    assert values("grandlyon_opendata", after) == values("grandlyon_opendata", before)
    assert (after.used, after.rejected, after.nulled) == (before.used, before.rejected, before.nulled)
