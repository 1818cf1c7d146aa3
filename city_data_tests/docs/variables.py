"""docs/configuration.md: environment variables as tables.

Belongs here: how a variable and a setting are shown. Does not: the variables (city_data/environment.py) or the reader's
settings (api/settings.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pydantic
from pydantic.fields import FieldInfo

from api.settings import Settings
from city_data.environment import VARIABLES, Variable
from city_data_tests.docs.tables import code, table

_HEAD = ("Variable", "Default", "Meaning")
_SECRET = " (secret)"
_MEBIBYTE = 1024 * 1024
# Meanings of settings whose field has no description of its own.
MEANINGS = {
    "database_url": "PostgreSQL, with a login that may only read; the writer's where that is the only one",
    "redis_url": "Redis, a convenience",
    "auth_mode": "`jwt`, or `none`: no tokens, and documentation and `/metrics` beside the data; loopback only",
    "auth_jwt_issuer": "`iss` that a token must have; needed with `jwt`",
    "auth_jwt_audience": "`aud` that a token must have; needed with `jwt`",
    "auth_jwks_file": "File with the issuer's public keys, a JSON Web Key Set",
    "auth_jwks_url": "https address of those keys, in place of the file; read every 10 minutes and for an unknown key",
    "auth_tenant_claim": "Claim that holds the tenant's UUID",
    "tenant_service_url": "Service that gives a tenant's location where a request has no coordinates",
    "tenant_service_token": "Bearer token for that service",
    "api_host": "Address to listen on",
    "api_port": "Port to listen on",
    "api_page": "Whether `/` shows the page of the cities",
    "api_metrics_port": "Port of `/metrics`, apart from the data",
    "api_cors_origins": "Origins whose pages may read, separated by commas",
    "api_segment_bytes": "Months that one process keeps in memory, in bytes",
    "api_answer_bytes": "Whole answers that one process keeps in memory, in bytes",
    "api_frame_bytes": "Joined months of training frames that one process keeps in memory, in bytes",
    "api_ledger_ttl_s": "Seconds for which the ledger is read from memory",
    "api_max_range_days": "Longest range of one request, in days; a longer one is 422",
    "api_max_body_bytes": "Largest request body, in bytes; a larger one is 413",
    "api_rate_per_s": "Requests a second of one `sub` in one process, then 429; 0 is unlimited",
    "api_rate_burst": "Requests of one `sub` at once, refilled at that rate",
    "api_drain_s": "Seconds to serve on after SIGTERM, each answer closing its connection; it ends once all are closed",
    "api_connections": "Open sockets; beyond that the longest idle one is closed",
    "api_concurrency": "Requests being answered; beyond that 503",
    "api_database_connections": "Connections to PostgreSQL of one process",
}


def _variables(group: str) -> str:
    return table(_HEAD, [_variable(one) for one in VARIABLES if one.group == group])


def _variable(one: Variable) -> tuple[str, str, str]:
    default = f"`{one.default}`" if one.default is not None else one.otherwise or "none"
    return f"`{one.name}`", default, one.description + (_SECRET if one.secret else "")


def _reader() -> str:
    return table(_HEAD, [_setting(name, field) for name, field in Settings.model_fields.items()])


def _setting(name: str, field: FieldInfo) -> tuple[str, str, str]:
    meaning = field.description or MEANINGS[name]
    secret = "SecretStr" in str(field.annotation)
    return code(setting_variables(field)), _default(name, field), meaning + (_SECRET if secret else "")


def setting_variables(field: FieldInfo) -> list[str]:
    """The environment variables of a setting, the first of which wins."""
    alias = field.validation_alias
    choices = alias.choices if isinstance(alias, pydantic.AliasChoices) else [alias]
    return [str(choice) for choice in choices if str(choice).isupper()]


def _default(name: str, field: FieldInfo) -> str:
    value: Any = field.get_default()
    if field.is_required():
        return "needed"
    if value in (None, ()):
        return "none"
    if name.endswith("_bytes") and value % _MEBIBYTE == 0:
        return f"`{value}` ({value // _MEBIBYTE} MiB)"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


PARTS: Mapping[str, Callable[[], str]] = {
    **{f"variables of the {name}": partial(_variables, name) for name in dict.fromkeys(one.group for one in VARIABLES)},
    "variables of the reader": _reader,
}
