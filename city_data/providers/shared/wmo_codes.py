"""Present weather in words: WMO-No. 306, Manual on Codes, volume I.1, section C-b, code table 4677 (`ww`).

Belongs here: the whole table, as observers report it. Does not: Open-Meteo's own shorter table (open_meteo.py), in
which 0 to 3 are the cover of the sky instead of its change.
"""

from __future__ import annotations

_STRENGTHS = ("slight", "moderate", "heavy")
_SINGLE = {
    0: "no significant weather", 1: "clouds dissolving", 2: "sky unchanged", 3: "clouds forming", 4: "smoke",
    5: "haze", 6: "dust in suspension", 7: "dust or sand raised by wind", 8: "dust whirls", 9: "dust storm nearby",
    10: "mist", 11: "patches of shallow fog", 12: "shallow fog", 13: "lightning without thunder",
    14: "precipitation not reaching the ground", 15: "distant precipitation", 16: "precipitation nearby",
    17: "thunderstorm without precipitation", 18: "squalls", 19: "funnel cloud", 20: "recent drizzle or snow grains",
    21: "recent rain", 22: "recent snow", 23: "recent rain and snow", 24: "recent freezing rain",
    25: "recent rain showers", 26: "recent snow showers", 27: "recent hail showers", 28: "recent fog",
    29: "recent thunderstorm", 30: "moderate dust storm, decreasing", 31: "moderate dust storm",
    32: "moderate dust storm, increasing", 33: "severe dust storm, decreasing", 34: "severe dust storm",
    35: "severe dust storm, increasing", 36: "moderate drifting snow", 37: "heavy drifting snow",
    38: "moderate blowing snow", 39: "heavy blowing snow", 40: "fog at a distance", 41: "patches of fog",
    42: "thinning fog, sky visible", 43: "thinning fog", 44: "fog, sky visible", 45: "fog",
    46: "thickening fog, sky visible", 47: "thickening fog", 48: "depositing rime fog, sky visible",
    49: "depositing rime fog", 56: "slight freezing drizzle", 57: "heavy freezing drizzle",
    58: "slight drizzle and rain", 59: "heavy drizzle and rain", 66: "slight freezing rain",
    67: "heavy freezing rain", 68: "slight rain and snow", 69: "heavy rain and snow", 76: "diamond dust",
    77: "snow grains", 78: "snow crystals", 79: "ice pellets", 80: "slight rain showers", 81: "heavy rain showers",
    82: "violent rain showers", 83: "slight showers of rain and snow", 84: "heavy showers of rain and snow",
    85: "slight snow showers", 86: "heavy snow showers", 87: "slight showers of snow pellets",
    88: "heavy showers of snow pellets", 89: "slight hail showers", 90: "heavy hail showers",
    91: "slight rain after thunderstorm", 92: "heavy rain after thunderstorm",
    93: "slight snow or hail after thunderstorm", 94: "heavy snow or hail after thunderstorm",
    95: "thunderstorm", 96: "thunderstorm with hail", 97: "heavy thunderstorm", 98: "thunderstorm with dust storm",
    99: "heavy thunderstorm with hail",
}  # fmt: skip
# 50, 60 and 70: intermittent and steady in turn, each slight, moderate, heavy.
WORDS = _SINGLE | {
    tens + 2 * step + steady: f"{strength} {'' if steady else 'intermittent '}{kind}"
    for tens, kind in ((50, "drizzle"), (60, "rain"), (70, "snow"))
    for step, strength in enumerate(_STRENGTHS)
    for steady in (0, 1)
}
