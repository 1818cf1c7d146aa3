"""What the reader is told from outside, by environment variables. Belongs here: their names, defaults and refusals.

Does not: what to do with them. A new setting is one field here.
"""

from __future__ import annotations

import ipaddress
from typing import Literal, Self

import pydantic
from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

MEBIBYTE = 1024 * 1024


def _setting(variable: str) -> AliasChoices:
    """The environment variable, or its lower-case name for code that builds Settings itself."""
    return AliasChoices(variable, variable.lower().removeprefix("city_data_"))


class Settings(BaseSettings):
    """URLs are secret: they hold passwords, and must show in no log and no traceback."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    database_url: SecretStr = Field(validation_alias=_setting("CITY_DATA_DATABASE_URL"))
    redis_url: SecretStr | None = Field(default=None, validation_alias=_setting("CITY_DATA_REDIS_URL"))
    auth_mode: Literal["none"] = Field(default="none", validation_alias=_setting("AUTH_MODE"))
    api_host: str = Field(default="127.0.0.1", validation_alias=_setting("API_HOST"))
    api_port: int = Field(default=8000, ge=0, le=65_535, validation_alias=_setting("API_PORT"))
    api_page: bool = Field(default=True, validation_alias=_setting("API_PAGE"))
    api_segment_bytes: int = Field(default=64 * MEBIBYTE, ge=0, validation_alias=_setting("API_SEGMENT_BYTES"))
    api_answer_bytes: int = Field(default=32 * MEBIBYTE, ge=0, validation_alias=_setting("API_ANSWER_BYTES"))
    api_ledger_ttl_s: float = Field(default=1.0, ge=0, le=60, validation_alias=_setting("API_LEDGER_TTL_S"))
    api_max_range_days: int = Field(default=3_660, ge=1, validation_alias=_setting("API_MAX_RANGE_DAYS"))
    api_connections: int = Field(default=512, ge=1, validation_alias=_setting("API_CONNECTIONS"))
    api_database_connections: int = Field(default=6, ge=1, validation_alias=_setting("API_DATABASE_CONNECTIONS"))

    @pydantic.model_validator(mode="after")
    def _open_only_at_home(self) -> Self:
        if self.auth_mode == "none" and not _is_loopback(self.api_host):
            raise ValueError(
                f"AUTH_MODE=none is for this machine only, and API_HOST={self.api_host} can be reached from others; "
                "use API_HOST=127.0.0.1"
            )
        return self


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def problems(error: pydantic.ValidationError) -> str:
    """What is wrong, one line a setting, without the values: they may be secrets."""
    return "\n".join(
        ": ".join(part for part in (".".join(map(str, problem["loc"])), problem["msg"]) if part)
        for problem in error.errors(include_input=False, include_url=False, include_context=False)
    )
