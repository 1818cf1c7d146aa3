# %% [markdown]
# # Does the city's history help a bakery to forecast its sales?
# A tenant brings its daily sales; city_data brings the weather and traffic of the shop's location. On each of several
# Mondays, the origins, we forecast the seven days ahead, three ways:
#
# - seasonal naive: the sales of the same weekday a week before
# - shop: a ridge regression on the calendar and the shop's own past
# - city: the same regression with the city's past besides
#
# A forecast uses only data that exists at its origin: no weather or traffic of the days ahead. Run it as a script, or
# cell by cell in an editor that knows `# %%`.
#
#     python demand_model.py --url http://127.0.0.1:8000

# %%
from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from city_data_client import CityData

AHEAD = 7  # days, and so the shortest lag that every day of a forecast knows

parser = argparse.ArgumentParser()
parser.add_argument("--url", default="http://127.0.0.1:8000")
parser.add_argument("--token")
parser.add_argument("--latitude", type=float, default=40.42)
parser.add_argument("--longitude", type=float, default=-3.70)
parser.add_argument("--start", default="2025-01-01")
parser.add_argument("--end", default="2026-10-31")
parser.add_argument("--origins", type=int, default=12, help="forecasts, a week apart, the last one at the end")
options = parser.parse_args()

# %% [markdown]
# ## The city's history, as local days
# One row a day on the city's own clocks, with its calendar. A missing value is NaN and marked: nothing is filled in.

# %%
with CityData(options.url, options.token, cache=False) as service:
    frame = service.training_frame(
        latitude=options.latitude, longitude=options.longitude, start=options.start, end=options.end
    )
described = frame.attrs
coverage = f"weather {described['weather_coverage']:.0%}, traffic {described['traffic_coverage']:.0%}"
print(f"{described['city_id']}: {coverage}")
print(f"keep this beside the model: {described['snapshot_id']}")
frame = frame.set_index("local_date")
city = frame[["temperature", "traffic_volume"]]
days = pd.DatetimeIndex(frame.index)

# %% [markdown]
# ## The tenant's sales
# Made up, since a shop's sales are its own: a weekly pattern, more in a full street, fewer on hot days, and chance. Put
# your own daily series in its place: a gain on made-up sales says nothing about yours.

# %%
print("the sales are made up: replace them by your own before you draw a conclusion")
rng = np.random.default_rng(7)


def unit(values: pd.Series) -> pd.Series:
    """Zero mean, spread 1, and 0 where a value is missing."""
    return ((values - values.mean()) / (values.std() or 1.0)).fillna(0.0)


weekly = 60.0 * (days.day_of_week == 5) - 40.0 * (days.day_of_week == 6)
street = 25 * unit(city["traffic_volume"]) - 15 * unit(city["temperature"])
sales = pd.Series(300 + weekly + street.to_numpy() + rng.normal(0, 12, len(days)), index=days)

# %% [markdown]
# ## Features that exist at the origin
# Of the shop and the city: a week before the day itself, and the mean of the four weeks before that. Of the calendar:
# everything, since it is known in advance.

# %%
calendar = pd.get_dummies(frame["weekday"], dtype=float).add_prefix("weekday_")
calendar["holiday"] = frame["public_holiday"].notna().astype(float)
calendar["season_sin"] = np.sin(2 * np.pi * days.day_of_year / 365.25)
calendar["season_cos"] = np.cos(2 * np.pi * days.day_of_year / 365.25)


def past(values: pd.DataFrame) -> pd.DataFrame:
    """Lags of at least AHEAD days, and a mark for each that is missing."""
    month = values.shift(AHEAD).rolling(28, min_periods=7).mean()
    lags = pd.concat([values.shift(AHEAD).add_suffix("_week_before"), month.add_suffix("_month_before")], axis=1)
    return pd.concat([lags, lags.isna().astype(float).add_suffix("_missing")], axis=1)


shop = pd.concat([calendar, past(sales.to_frame("sales"))], axis=1)
with_city = pd.concat([shop, past(city)], axis=1)

# %% [markdown]
# ## Rolling origins
# Each fit sees the days before its origin alone, their means and spreads included.


# %%
def forecast(features: pd.DataFrame, origin: int) -> np.ndarray:
    """Sales of the days from `origin` on, by a ridge regression on all days before it."""
    train, ahead = features.iloc[:origin], features.iloc[origin : origin + AHEAD]
    spread = train.std().replace(0, 1).fillna(1)
    known, new = (((part - train.mean()) / spread).fillna(0).to_numpy(float) for part in (train, ahead))
    target = sales.to_numpy()[:origin]
    weights = np.linalg.solve(known.T @ known + np.eye(known.shape[1]), known.T @ (target - target.mean()))
    return np.asarray(target.mean() + new @ weights)


errors: dict[str, list[float]] = {"seasonal naive": [], "shop": [], "city": []}
for number in range(options.origins, 0, -1):
    origin = len(days) - number * AHEAD
    truth = sales.to_numpy()[origin : origin + AHEAD]
    forecasts = {
        "seasonal naive": sales.to_numpy()[origin - AHEAD : origin],
        "shop": forecast(shop, origin),
        "city": forecast(with_city, origin),
    }
    for name, values in forecasts.items():
        errors[name].append(float(np.abs(values - truth).mean()))

# %%
for name, values in errors.items():
    print(f"mean error, {name}: {np.mean(values):.1f} sales a day over {options.origins} origins")
gains = np.array(errors["shop"]) - np.array(errors["city"])
margin = 2 * gains.std(ddof=1) / np.sqrt(len(gains))
print(f"gain of the city over the shop alone: {gains.mean():.1f} +- {margin:.1f} sales a day")
print("a gain" if gains.mean() > margin else "a loss" if gains.mean() < -margin else "no difference beyond chance")
