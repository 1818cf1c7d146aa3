# %% [markdown]
# # Train on the weather that was measured, or on the forecasts that were known?
# A bakery bakes for days ahead, so its model meets forecasts. Two models are compared, on the same days and with the
# same columns. One is trained on the weather that was measured, the other on its forecasts of the lead that it will be
# used with. Both are then used on forecasts as they were known that many days before, from rolling origins a week
# apart. Run it as a script, or cell by cell in an editor that knows `# %%`.
#
#     python matching_leads.py --url http://127.0.0.1:8000

# %%
from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from city_data_client import CityData

LEADS, COMPARED = range(1, 8), (1, 3, 5)
WEATHER = ["temperature", "precipitation"]
WEEK = 7
# A model is fitted on days that were over, measured and published when the first forecast that it is used on was made.
GAP = 14

parser = argparse.ArgumentParser()
parser.add_argument("--url", default="http://127.0.0.1:8000")
parser.add_argument("--token")
parser.add_argument("--city", default="zurich")
parser.add_argument("--start", default="2024-11")
parser.add_argument("--end", default="2026-10")
parser.add_argument("--origins", type=int, default=52, help="weeks that are forecast, the last one at the end")
options = parser.parse_args()

# %% [markdown]
# ## Frames with the same columns
# What was measured; what was forecast of the same days, one frame for each lead; and the days ahead.

# %%
with CityData(options.url, options.token, cache=False) as service:
    measured = service.training_frame(city_id=options.city, start=options.start, end=options.end)
    forecast = {
        lead: service.training_frame(
            city_id=options.city, start=options.start, end=options.end, weather="forecast", lead_days=lead
        )
        for lead in LEADS
    }
    ahead = service.forecast_frame(city_id=options.city, days=max(COMPARED))
print(f"keep these beside the models: {measured.attrs['snapshot_id']} {forecast[1].attrs['snapshot_id']}")
if any(list(frame.columns) != list(measured.columns) for frame in (*forecast.values(), ahead)):
    raise SystemExit("the frames have different columns")


# %% [markdown]
# ## Features
# One function for all frames: what a model is trained on and what it is used on cannot differ.


# %%
def features(frame: pd.DataFrame) -> pd.DataFrame:
    """The calendar, the season, and the weather as the frame has it: measured, or known so many days before."""
    days = pd.DatetimeIndex(frame["local_date"])
    weekday = frame["weekday"].astype(pd.CategoricalDtype(range(7)))
    table = pd.get_dummies(weekday, dtype=float).add_prefix("weekday_")
    table["holiday"] = frame["public_holiday"].notna().astype(float)
    table["season_sin"] = np.sin(2 * np.pi * days.day_of_year / 365.25)
    table["season_cos"] = np.cos(2 * np.pi * days.day_of_year / 365.25)
    return table.join(frame[WEATHER]).set_index(days)


# %% [markdown]
# ## The tenant's sales
# Made up, since a shop's sales are its own: of the calendar, of the weather that was measured, and of chance. Customers
# come in the weather that is, whatever was forecast. Put your own daily series in its place.

# %%
print("the sales are made up: replace them by your own before you draw a conclusion")
rng = np.random.default_rng(7)
of_measured = features(measured)
weekly = 60.0 * of_measured["weekday_5"] - 40.0 * of_measured["weekday_6"] - 80.0 * of_measured["holiday"]
felt = -4.0 * of_measured["temperature"] - 2.0 * of_measured["precipitation"]
sales = 360 + weekly + felt + rng.normal(0, 12, len(of_measured))


# %% [markdown]
# ## Rolling origins
# The same days train both models: those with sales, measured weather and a forecast.


# %%
def predict(train: pd.DataFrame, use: pd.DataFrame) -> np.ndarray:
    """Sales of the days of `use`, by a ridge regression on the days of `train`."""
    centre, spread = train.mean(), train.std().replace(0, 1)
    known, new = (((part - centre) / spread).to_numpy(float) for part in (train, use))
    target = sales[train.index].to_numpy()
    weights = np.linalg.solve(known.T @ known + np.eye(known.shape[1]), known.T @ (target - target.mean()))
    return np.asarray(target.mean() + new @ weights)


for lead in COMPARED:
    of_forecast = features(forecast[lead])
    days = sales.index[sales.notna() & of_measured.notna().all(axis=1) & of_forecast.notna().all(axis=1)]
    trained_on = {
        "the calendar alone": of_forecast.drop(columns=WEATHER),
        "measured weather": of_measured,
        f"forecasts of lead {lead}": of_forecast,
    }
    errors: dict[str, list[float]] = {name: [] for name in trained_on}
    for number in range(options.origins, 0, -1):
        origin = sales.index[-1] - pd.Timedelta(days=number * WEEK)
        past = days[days <= origin - pd.Timedelta(days=GAP)]
        week = days[(days > origin) & (days <= origin + pd.Timedelta(days=WEEK))]
        if past.empty or week.empty:
            continue
        for name, table in trained_on.items():
            predicted = predict(table.loc[past], of_forecast.loc[week, table.columns])
            errors[name].append(float(np.abs(predicted - sales[week]).mean()))
    gains = np.array(errors["measured weather"]) - np.array(errors[f"forecasts of lead {lead}"])
    gain, margin = gains.mean(), 2 * gains.std(ddof=1) / np.sqrt(len(gains))
    verdict = "a gain" if gain > margin else "a loss" if gain < -margin else "no difference beyond chance"
    print(f"used on forecasts of lead {lead}, mean error in sales a day:")
    for name, values in errors.items():
        print(f"    trained on {name}: {np.mean(values):.1f}")
    print(f"    gain of matching leads: {gain:.2f} +- {margin:.2f} over {len(gains)} weeks, {verdict}")

# %% [markdown]
# ## The days ahead
# Each by the model of its own lead, which the row names: greater by one where today's forecast is not stored yet.

# %%
of_ahead = features(ahead)
for day, lead in ahead.set_index("local_date")["weather_lead_days"].dropna().items():
    train = features(forecast[lead]).loc[lambda table: table.notna().all(axis=1) & sales.notna()]
    (expected,) = predict(train, of_ahead.loc[[day]])
    print(f"{day:%A %d %B %Y}: {expected:.0f} sales, trained on lead {lead}")
