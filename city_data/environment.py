"""Every environment variable of the platform: its name, its default, its meaning.

Belongs here: one `Variable` each, from which docs/configuration.md is generated. Does not: the use of a value,
or the reader's own settings (api/settings.py), which read some of these names too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from city_data.errors import ConfigurationError


@dataclass(frozen=True)
class Variable:
    """`default` is the text used where the variable is unset or empty, None where there is no value then.

    `otherwise` says for readers of the documentation what happens without a value. `secret` values appear nowhere.
    """

    name: str
    description: str
    default: str | None = None
    otherwise: str = ""
    secret: bool = False
    group: str = "platform"

    def get(self, environ: Mapping[str, str] | None = None) -> str | None:
        """The value without surrounding blanks, else the default."""
        return ((os.environ if environ is None else environ).get(self.name) or "").strip() or self.default

    def required(self) -> str:
        """Raises ConfigurationError where the variable is unset or empty."""
        if (value := self.get()) is None:
            raise ConfigurationError(f"{self.name} is not set")
        return value

    def whole_number(self, meaning: str, low: int, high: int | None = None) -> int:
        """`meaning` ends the error's text, such as `a number of months from 1 to 240`. Raises ConfigurationError."""
        text = self.required()
        if not text.isdecimal() or int(text) < low or (high is not None and int(text) > high):
            raise ConfigurationError(f"{self.name}={text!r} is not {meaning}")
        return int(text)

    def __str__(self) -> str:
        return self.name


HOME = Variable("CITY_DATA_HOME", "Folder with all state of one machine's platform", ".city-data")
DATABASE_URL = Variable(
    "CITY_DATA_DATABASE_URL",
    "PostgreSQL of a deployment, with the writer's login",
    otherwise="embedded in the home",
    secret=True,
)
RAW_URL = Variable("CITY_DATA_RAW_URL", "Raw archive: a folder or any fsspec URL", otherwise="in the home")
REDIS_URL = Variable("CITY_DATA_REDIS_URL", "Redis, a convenience", otherwise="embedded in the home", secret=True)
DOWNLOADS = Variable(
    "CITY_DATA_CACHE_DIR",
    "Folder for source files that serve many months, kept between runs; machines may share it",
    otherwise="in the home, else the user's cache folder",
)
DOWNLOADS_URL = Variable(
    "CITY_DATA_DOWNLOADS_URL",
    "Where copies of those files are kept for machines that share no folder: a folder or any fsspec URL",
    otherwise="no copies",
)
CITIES = Variable("CITY_DATA_CITIES", "Registry file", otherwise="the registry that ships with the package")
ENABLED_CITIES = Variable(
    "ENABLED_CITIES", "City ids, separated by commas, that are enabled", otherwise="as in the registry"
)
AS_OF = Variable(
    "CITY_DATA_AS_OF",
    "Moment (ISO 8601) from which the window is counted, for tests and replays",
    otherwise="now",
)
RETENTION_MONTHS = Variable("CITY_DATA_RETENTION_MONTHS", "Complete months kept, 1 to 240", "24")
# An open month of a source that publishes yesterday gets a version a day until it settles: about 60.
KEEP_VERSIONS = Variable("CITY_DATA_KEEP_VERSIONS", "Versions of a month kept", "100")
KEEP_RUNS_DAYS = Variable("CITY_DATA_KEEP_RUNS_DAYS", "Days that Dagster's runs and events are kept", "30")
CITIES_A_RUN = Variable("CITY_DATA_CITIES_A_RUN", "Cities of one provider that one run loads, 1 to 500", "50")
CACHE_TTL_DAYS = Variable("CITY_DATA_CACHE_TTL_DAYS", "Days a segment stays in Redis, 1 to 3650", "60")
COLLECT_EVERY = Variable("CITY_DATA_COLLECT_EVERY", "Seconds between polls of a live feed, at least 60", "600")
WEBSERVER_URL = Variable("CITY_DATA_WEBSERVER_URL", "Dagster webserver that runs backfills in place of this process")
DAGSTER_URL = Variable(
    "CITY_DATA_DAGSTER_URL", "PostgreSQL of Dagster's own storage", otherwise="embedded in the home", secret=True
)
DAGSTER_WEBSERVER_URL = Variable(
    "DAGSTER_WEBSERVER_URL",
    "Address of Dagster's pages as people reach them, for links in notices",
    otherwise="the port on this machine where `UI_PORT` is set, else the run's id alone",
)
DAGSTER_HOME = Variable("DAGSTER_HOME", "Folder of Dagster's dagster.yaml", otherwise="in the home")
ROUTES = Variable(
    "CITY_DATA_ROUTES", "JSON object from a source's host to the base URL that answers in its place, for the sandbox"
)
CONTACT = Variable(
    "CITY_DATA_CONTACT",
    "Address or URL of the operator, named in the User-Agent of every call: firewalls refuse anonymous scripts",
    otherwise="the User-Agent names the project alone",
)
API_PORT = Variable("API_PORT", "Port of the reader", "8000")
UI_PORT = Variable("UI_PORT", "Port of Dagster's webserver on one machine", "3000")
EXPORTER_PORT = Variable("EXPORTER_PORT", "Port of the exporter's /metrics", "9101")
SLACK_WEBHOOK_URL = Variable(
    "SLACK_WEBHOOK_URL", "Slack webhook for failed runs and the monthly rotation", otherwise="no notices", secret=True
)
AEMET_API_KEY = Variable(
    "AEMET_API_KEY",
    "Key of AEMET OpenData, free",
    otherwise="the city's fallback serves, and every row says so",
    secret=True,
    group="sources",
)
METEO_FRANCE_API_KEY = Variable(
    "METEO_FRANCE_API_KEY",
    "Key of DPClim: Meteo-France by order",
    otherwise="the keyless department files",
    secret=True,
    group="sources",
)
METEO_FRANCE_APPLICATION_ID = Variable(
    "METEO_FRANCE_APPLICATION_ID",
    "Application id from which DPClim's tokens are made, in place of a key",
    otherwise="the keyless department files",
    secret=True,
    group="sources",
)
OPENWEATHER_API_KEY = Variable(
    "OPENWEATHER_API_KEY",
    "Key of OpenWeather, where a city names `openweather`; the History API needs a subscription",
    secret=True,
    group="sources",
)
OPENWEATHER_CALLS_A_MINUTE = Variable(
    "OPENWEATHER_CALLS_A_MINUTE", "Calls a minute of the OpenWeather plan, 1 to 100000", "60", group="sources"
)
OPENWEATHER_CALLS_A_DAY = Variable(
    "OPENWEATHER_CALLS_A_DAY", "Calls a day of the OpenWeather plan, 1 to 100000000", "1000", group="sources"
)

VARIABLES: tuple[Variable, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Variable))
