"""Months revised by their source after publication, and the fingerprints that show it without a fetch."""

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


def test_madrid_fingerprint_is_stable_until_the_file_is_replaced(revisable: Sandbox, tmp_path: Path) -> None:
    source = Asked(revisable, "madrid_opendata", MONTH)
    (payload,) = source.fetch(tmp_path)
    current = source.provider.fingerprint(source.request, source.http)
    assert current == payload.fingerprint
    assert current is not None
    assert current["bytes"] == str(payload.path.stat().st_size)
    assert current["last-modified"] == "Mon, 07 Sep 2026 00:00:00 GMT"
    assert {"etag", "catalogue:url"} <= set(current)
    assert compare(payload.fingerprint, current).result == "unchanged"

    revisable.publication.revisions = {Month.parse(MONTH): 1}
    result = compare(payload.fingerprint, source.provider.fingerprint(source.request, source.http))
    assert result.result == "revised"
    assert result.differences["last-modified"] == "Mon, 07 Sep 2026 00:00:00 GMT -> Tue, 08 Sep 2026 00:00:00 GMT"

    revisable.publication.unpublished = {Month.parse(MONTH)}
    with pytest.raises(NotAvailable, match=f"madrid_opendata: madrid {MONTH}: not among"):
        source.provider.fingerprint(source.request, source.http)


@pytest.mark.parametrize("name", ["aemet", "open_meteo"])
def test_source_without_fingerprints_returns_none(revisable: Sandbox, name: str) -> None:
    source = Asked(revisable, name, MONTH)
    assert source.provider.fingerprint(source.request, source.http) is None


@pytest.mark.parametrize(
    ("stored", "current", "result"),
    [
        ({"etag": "a", "bytes": "1"}, {"etag": "a", "bytes": "1"}, "unchanged"),
        ({"etag": "a", "bytes": "1"}, {"bytes": "1"}, "unchanged"),  # a server that no longer tells its tag
        ({"etag": "a", "bytes": "1"}, {"etag": "a", "bytes": "2"}, "revised"),
        ({"etag": "a"}, {"bytes": "1"}, "fetched"),  # nothing in common
        ({"etag": "a"}, None, "fetched"),
    ],
)
def test_only_fields_of_both_fingerprints_are_compared(
    stored: dict[str, str], current: dict[str, str] | None, result: str
) -> None:
    assert compare(stored, current).result == result
