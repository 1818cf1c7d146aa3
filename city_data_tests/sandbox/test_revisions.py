"""Months that their source changes after it published them, and what tells of it without fetching them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from city_data.pipeline.recheck import compare
from city_data.providers.base import NotAvailable
from city_data.sandbox import Sandbox
from city_data.window import Month
from city_data_tests.sandbox.asking import Asked

MONTH = "2026-08"


@pytest.fixture
def revisable(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    monkeypatch.setenv("AEMET_API_KEY", "good")
    yield sandbox
    sandbox.publication.revisions = {}
    sandbox.publication.unpublished = set()


@pytest.mark.parametrize(("name", "column"), [("aemet", "temperature"), ("madrid_opendata", "traffic_volume")])
def test_a_revision_changes_values_of_that_month_alone(
    revisable: Sandbox, tmp_path: Path, name: str, column: str
) -> None:
    before = Asked(revisable, name, MONTH).month_of(tmp_path / "a").frame[column]
    other = Asked(revisable, name, "2026-07").month_of(tmp_path / "b").frame[column]
    revisable.publication.revisions = {Month.parse(MONTH): 1}
    after = Asked(revisable, name, MONTH).month_of(tmp_path / "c").frame[column]
    assert len(after) == len(before)
    assert after.mean() > before.mean() * 1.005
    assert Asked(revisable, name, "2026-07").month_of(tmp_path / "d").frame[column].equals(other)
    revisable.publication.revisions = {Month.parse(MONTH): 2}
    assert Asked(revisable, name, MONTH).month_of(tmp_path / "e").frame[column].mean() > after.mean() * 1.005


def test_madrid_s_fingerprint_is_that_of_what_was_fetched_until_the_file_is_replaced(
    revisable: Sandbox, tmp_path: Path
) -> None:
    asked = Asked(revisable, "madrid_opendata", MONTH)
    (payload,) = asked.fetch(tmp_path)
    told = asked.provider.fingerprint(asked.request, asked.http)
    assert told == payload.fingerprint
    assert told is not None
    assert told["bytes"] == str(payload.path.stat().st_size)
    assert told["last-modified"] == "Mon, 07 Sep 2026 00:00:00 GMT"
    assert {"etag", "catalogue:url"} <= set(told)
    assert compare(payload.fingerprint, told).result == "unchanged"

    revisable.publication.revisions = {Month.parse(MONTH): 1}
    look = compare(payload.fingerprint, asked.provider.fingerprint(asked.request, asked.http))
    assert look.result == "revised"
    assert look.differences["last-modified"] == "Mon, 07 Sep 2026 00:00:00 GMT -> Tue, 08 Sep 2026 00:00:00 GMT"

    revisable.publication.unpublished = {Month.parse(MONTH)}
    with pytest.raises(NotAvailable, match=f"madrid_opendata: madrid {MONTH}: not among"):
        asked.provider.fingerprint(asked.request, asked.http)


@pytest.mark.parametrize("name", ["aemet", "open_meteo"])
def test_a_source_without_a_cheap_way_says_so(revisable: Sandbox, name: str) -> None:
    asked = Asked(revisable, name, MONTH)
    assert asked.provider.fingerprint(asked.request, asked.http) is None


@pytest.mark.parametrize(
    ("held", "told", "result"),
    [
        ({"etag": "a", "bytes": "1"}, {"etag": "a", "bytes": "1"}, "unchanged"),
        ({"etag": "a", "bytes": "1"}, {"bytes": "1"}, "unchanged"),  # a server that no longer tells its tag
        ({"etag": "a", "bytes": "1"}, {"etag": "a", "bytes": "2"}, "revised"),
        ({"etag": "a"}, {"bytes": "1"}, "fetched"),  # nothing in common
        ({"etag": "a"}, None, "fetched"),
    ],
)
def test_only_what_both_tell_is_compared(held: dict[str, str], told: dict[str, str] | None, result: str) -> None:
    assert compare(held, told).result == result
