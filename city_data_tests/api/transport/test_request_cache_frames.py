"""A frame requested before is answered without the routes, by the versions and the day of now."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from city_data_tests.api.conftest import LOADED, Load
from city_data_tests.api.locked import LONG, NO_TIME, TOKEN, MakeReader, path, same
from city_data_tests.api.sockets import written


def frame(route: str = "operations/training-frame", **query: str) -> bytes:
    asked = path(**query).replace("operations/historical-traffic-optimized", route)
    return written(asked, Authorization=TOKEN, Accept_Encoding="identity")


AHEAD = path().split("?")[0].replace("operations/historical-traffic-optimized", "forecast-frame")
AHEAD_OF_MADRID = written(f"{AHEAD}?city_id=madrid&days=2", Authorization=TOKEN, Accept_Encoding="identity")


@pytest.mark.parametrize("ledger_s", [NO_TIME, LONG], ids=["ledger read each time", "ledger remembered"])
def test_repeated_frame_has_the_bytes_and_headers_of_the_first(make_reader: MakeReader, ledger_s: float) -> None:
    reader = make_reader(ledger_s)
    requests = [frame(), frame(resolution="dayparts", format="csv"), frame(format="parquet"), AHEAD_OF_MADRID]
    for number, request in enumerate(requests, start=1):
        first, *others = reader.ask(request, times=3)
        assert first.status == 200
        assert all(same(first, other) for other in others)
        assert reader.routed == number


def test_repeated_frame_after_a_load_of_any_dataset_has_the_new_version(make_reader: MakeReader, load: Load) -> None:
    reader = make_reader(NO_TIME)
    before = reader.ask(frame(), times=2)[-1]
    for number, dataset in enumerate(("weather", "traffic", "calendar"), start=1):
        load(dataset, "2025-10", at=LOADED + timedelta(days=number), add=3.0)
        after = reader.ask(frame())[0]
        assert (after.header("etag"), after.body) != (before.header("etag"), before.body)
        before = after


def test_repeated_frame_of_the_days_ahead_moves_on_at_midnight(
    make_reader: MakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, days = make_reader(), []
    for now in ("2025-10-10T20:00Z", "2025-10-10T21:00Z", "2025-10-10T22:30Z"):  # midnight in Madrid is at 22
        monkeypatch.setenv("CITY_DATA_AS_OF", now)
        days.append([row["local_date"] for row in json.loads(reader.ask(AHEAD_OF_MADRID)[0].body)])
    assert days == [["2025-10-11", "2025-10-12"]] * 2 + [["2025-10-12", "2025-10-13"]]


def test_frame_from_memory_costs_one_request(make_reader: MakeReader) -> None:
    reader = make_reader(NO_TIME, api_rate_per_s=0.001, api_rate_burst=20)
    left = [answer.header("ratelimit-remaining") for answer in reader.ask(frame(), times=3)]
    assert left == ["17", "16", "15"]  # the first: itself, and two months to build
