# %% [markdown]
# # Does the city's history help a bakery to forecast its sales?
# A tenant brings its daily sales; city_data brings weather and traffic of where the shop stands. We fit the same small
# model (least squares with a ridge) twice: on the calendar alone, and with the city's history, and compare both on days
# that neither has seen. Run it as a script, or cell by cell in an editor that knows `# %%`.
#
#     python demand_model.py --url http://127.0.0.1:8000

# %%
from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from city_data_client import CityData

parser = argparse.ArgumentParser()
parser.add_argument("--url", default="http://127.0.0.1:8000")
parser.add_argument("--token")
parser.add_argument("--latitude", type=float, default=40.42)
parser.add_argument("--longitude", type=float, default=-3.70)
parser.add_argument("--start", default="2025-01-01")
parser.add_argument("--end", default="2026-10-31")
parser.add_argument("--test-days", type=int, default=60)
options = parser.parse_args()
question = {
    "latitude": options.latitude,
    "longitude": options.longitude,
    "start": options.start,
    "end": options.end,
}

# %% [markdown]
# ## The city's history, as local days
# One row a day on the city's own clocks, with its calendar. What is missing is marked: nothing is filled in.

# %%
with CityData(options.url, options.token, cache=False) as service:
    frame = service.training_frame(**question)
described = frame.attrs
print(
    f"{described['city_id']}: weather {described['weather_coverage']:.0%}, traffic {described['traffic_coverage']:.0%}"
)
print(f"keep this beside the model: {described['snapshot_id']}")
frame = frame.set_index("local_date")
city = frame[["temperature", "traffic_volume"]]

# %% [markdown]
# ## The tenant's sales
# Made up here, since a shop's sales are its own: more on Saturdays, more when the street is full, fewer on hot days,
# and chance. Put your own daily series in its place.

# %%
rng = np.random.default_rng(7)
days = pd.DatetimeIndex(city.index)
full = city["traffic_volume"].fillna(city["traffic_volume"].mean())
heat = city["temperature"].fillna(city["temperature"].mean())
scale = full.std() or 1.0
sales = pd.Series(
    300
    + 60 * (days.day_of_week == 5)
    + 40 * (full - full.mean()) / scale
    - 15 * (heat - heat.mean()) / (heat.std() or 1.0)
    + rng.normal(0, 12, len(days)),
    index=days,
)

# %% [markdown]
# ## The same model twice
# Both see the weekday, holidays and the season. The second also sees the city, with a mark where a value was missing.

# %%
calendar = pd.get_dummies(frame["weekday"], dtype=float)
calendar["holiday"] = frame["public_holiday"].notna().astype(float)
calendar["season_sin"] = np.sin(2 * np.pi * days.day_of_year / 365.25)
calendar["season_cos"] = np.cos(2 * np.pi * days.day_of_year / 365.25)
seen = city.iloc[: -options.test_days]
standard = ((city - seen.mean()) / seen.std().replace(0, 1)).fillna(0)
with_city = pd.concat([calendar, standard, frame[[f"{name}_missing" for name in city]].astype(float)], axis=1)


def mean_error(features: pd.DataFrame) -> float:
    """Mean absolute error on the last days, after a fit on all days before them."""
    x = np.column_stack([np.ones(len(features)), features.to_numpy(float)])
    train, test = slice(None, -options.test_days), slice(-options.test_days, None)
    ridge = np.eye(x.shape[1])
    ridge[0, 0] = 0
    weights = np.linalg.solve(x[train].T @ x[train] + ridge, x[train].T @ sales.to_numpy()[train])
    return float(np.abs(x[test] @ weights - sales.to_numpy()[test]).mean())


# %%
print(f"mean error without the city: {mean_error(calendar):.1f} sales a day")
print(f"mean error with the city: {mean_error(with_city):.1f} sales a day")
