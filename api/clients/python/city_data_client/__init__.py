"""Weather, traffic, calendar and forecasts of cities as DataFrames.

    from city_data_client import CityData

    with CityData("https://city-data.example", token="...", tenant_id="...") as service:
        traffic = service.traffic(latitude=40.42, longitude=-3.70, start="2024-11-01", end="2026-10-31")

`AsyncCityData` is the same with `await`. Every frame says in `attrs` which city answered, how complete the answer is
and which snapshot it is of: `version=frame.attrs["snapshot_id"]` gives the same frame again, whatever is corrected
later.
"""

from city_data_client.arguments import Ahead, Frame, Range
from city_data_client.async_client import AsyncCityData
from city_data_client.client import CityData
from city_data_client.errors import (
    CityDataError,
    Forbidden,
    Gone,
    InvalidRequest,
    NotCovered,
    ServiceUnavailable,
    UnexpectedAnswer,
    UnknownTenant,
)
from city_data_client.questions import Retries

__all__ = [
    "Ahead",
    "AsyncCityData",
    "CityData",
    "CityDataError",
    "Forbidden",
    "Frame",
    "Gone",
    "InvalidRequest",
    "NotCovered",
    "Range",
    "Retries",
    "ServiceUnavailable",
    "UnexpectedAnswer",
    "UnknownTenant",
]
