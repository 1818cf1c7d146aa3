"""The HTTP client's settings: times, attempts, and hosts that another server stands in for.

Belongs here: values. Does not: their use (http.py).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

from city_data import environment
from city_data.providers.errors import PermanentError


@dataclass(frozen=True)
class HttpSettings:
    """Seconds, except `attempts`. `deadline` bounds one call with all its waits and retries; None is for downloads."""

    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    deadline: float = 180.0
    download_deadline: float = 1800.0
    attempts: int = 5
    backoff: float = 1.0
    longest_wait: float = 90.0


def routes(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Hosts that are answered by another server, from `CITY_DATA_ROUTES`: JSON such as
    `{"opendata.aemet.es": "http://127.0.0.1:9900/opendata.aemet.es"}`.

    Raises PermanentError for anything else.
    """
    text = environment.ROUTES.get(environ)
    if not text:
        return {}
    try:
        mapping = json.loads(text)
    except ValueError as error:
        raise PermanentError(f"{environment.ROUTES} is not JSON: {error}") from error
    if not isinstance(mapping, dict) or not all(isinstance(base, str) for base in mapping.values()):
        raise PermanentError(f"{environment.ROUTES} must be a JSON object of host to base URL")
    return mapping
