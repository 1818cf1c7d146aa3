"""Settings of the reader, from environment variables. Belongs here: their names, defaults and validation.

Does not: using them. A new setting is one field here.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import pydantic
from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from city_data.errors import CityDataError, one_line

MEBIBYTE = 1024 * 1024


def _setting(*variables: str) -> AliasChoices:
    """Aliases of a field: its environment variables, and its name for code that builds Settings without them."""
    return AliasChoices(*variables, variables[-1].lower().removeprefix("city_data_"))


class Settings(BaseSettings):
    """URLs are secret: they contain passwords, which must not appear in logs or tracebacks."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    # The URL of a read-only role; a local platform without such a role uses the writer's URL.
    database_url: SecretStr = Field(validation_alias=_setting("API_DATABASE_URL", "CITY_DATA_DATABASE_URL"))
    redis_url: SecretStr | None = Field(default=None, validation_alias=_setting("CITY_DATA_REDIS_URL"))
    auth_mode: Literal["jwt", "none"] = Field(default="jwt", validation_alias=_setting("AUTH_MODE"))
    auth_jwt_issuer: str | None = Field(default=None, validation_alias=_setting("AUTH_JWT_ISSUER"))
    auth_jwt_audience: str | None = Field(default=None, validation_alias=_setting("AUTH_JWT_AUDIENCE"))
    auth_jwks_file: Path | None = Field(default=None, validation_alias=_setting("AUTH_JWKS_FILE"))
    auth_jwks_url: str | None = Field(default=None, validation_alias=_setting("AUTH_JWKS_URL"))
    auth_tenant_claim: str = Field(default="tenant_id", validation_alias=_setting("AUTH_TENANT_CLAIM"))
    tenant_service_url: str | None = Field(default=None, validation_alias=_setting("TENANT_SERVICE_URL"))
    tenant_service_token: SecretStr | None = Field(default=None, validation_alias=_setting("TENANT_SERVICE_TOKEN"))
    api_host: str = Field(default="127.0.0.1", validation_alias=_setting("API_HOST"))
    api_port: int = Field(default=8000, ge=0, le=65_535, validation_alias=_setting("API_PORT"))
    api_page: bool = Field(default=True, validation_alias=_setting("API_PAGE"))
    api_metrics_port: int | None = Field(default=None, ge=0, le=65_535, validation_alias=_setting("API_METRICS_PORT"))
    api_cors_origins: Annotated[tuple[str, ...], NoDecode] = Field((), validation_alias=_setting("API_CORS_ORIGINS"))
    api_segment_bytes: int = Field(default=24 * MEBIBYTE, ge=0, validation_alias=_setting("API_SEGMENT_BYTES"))
    api_answer_bytes: int = Field(default=10 * MEBIBYTE, ge=0, validation_alias=_setting("API_ANSWER_BYTES"))
    api_frame_bytes: int = Field(default=10 * MEBIBYTE, ge=0, validation_alias=_setting("API_FRAME_BYTES"))
    api_ledger_ttl_s: float = Field(default=1.0, ge=0, le=60, validation_alias=_setting("API_LEDGER_TTL_S"))
    api_max_range_days: int = Field(default=3_660, ge=1, validation_alias=_setting("API_MAX_RANGE_DAYS"))
    api_max_body_bytes: int = Field(default=64 * 1024, ge=1, validation_alias=_setting("API_MAX_BODY_BYTES"))
    api_rate_per_s: float = Field(default=50, ge=0, validation_alias=_setting("API_RATE_PER_S"))
    api_rate_burst: int = Field(default=200, ge=1, validation_alias=_setting("API_RATE_BURST"))
    api_drain_s: float = Field(default=0, ge=0, le=600, validation_alias=_setting("API_DRAIN_S"))
    api_connections: int = Field(default=4_096, ge=1, validation_alias=_setting("API_CONNECTIONS"))
    api_concurrency: int = Field(default=256, ge=1, validation_alias=_setting("API_CONCURRENCY"))
    api_database_connections: int = Field(default=6, ge=1, validation_alias=_setting("API_DATABASE_CONNECTIONS"))

    @property
    def is_local(self) -> bool:
        """Local mode, without authentication: documentation and metrics are served on the main port."""
        return self.auth_mode == "none"

    @pydantic.field_validator("api_cors_origins", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @pydantic.field_validator("auth_jwks_url")
    @classmethod
    def _require_https_jwks(cls, value: str | None) -> str | None:
        """An attacker who can change the key set in transit could sign any token."""
        if value and not _is_private(value):
            raise ValueError("must be https; where https is not available, mount the key set as AUTH_JWKS_FILE")
        return value

    @pydantic.model_validator(mode="after")
    def _require_https_with_a_tenant_token(self) -> Self:
        """Whoever can read the token on its way can use it."""
        if self.tenant_service_token and self.tenant_service_url and not _is_private(self.tenant_service_url):
            raise ValueError("TENANT_SERVICE_URL must be https where TENANT_SERVICE_TOKEN is sent to it")
        return self

    @pydantic.model_validator(mode="after")
    def _require_loopback_without_auth(self) -> Self:
        if self.auth_mode == "none" and not _is_loopback(self.api_host):
            raise ValueError(
                f"AUTH_MODE=none is for this machine only, but API_HOST={self.api_host} is reachable from others; "
                "use API_HOST=127.0.0.1, or AUTH_MODE=jwt"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _require_jwt_settings(self) -> Self:
        if self.auth_mode == "none":
            return self
        missing = [
            name
            for name, value in (
                ("AUTH_JWT_ISSUER", self.auth_jwt_issuer),
                ("AUTH_JWT_AUDIENCE", self.auth_jwt_audience),
                ("AUTH_JWKS_FILE or AUTH_JWKS_URL", self.auth_jwks_file or self.auth_jwks_url),
            )
            if not value
        ]
        if missing:
            raise ValueError(f"AUTH_MODE=jwt requires {', '.join(missing)}; on this machine only, use AUTH_MODE=none")
        if self.auth_jwks_file and self.auth_jwks_url:
            raise ValueError("set AUTH_JWKS_FILE or AUTH_JWKS_URL, not both")
        return self


def _is_private(address: str) -> bool:
    """Whether nobody on the way can read or change what is sent to the URL."""
    try:
        url = urlsplit(address)
        return url.scheme == "https" or (url.scheme == "http" and _is_loopback(url.hostname or ""))
    except ValueError:  # brackets that hold no address
        return False


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def problems(error: pydantic.ValidationError | CityDataError) -> str:
    """Why a reader cannot start: validation errors, one line for each setting, without values, which may be secrets; or
    an expected failure's one line."""
    if isinstance(error, CityDataError):
        return one_line(error)
    return "\n".join(
        ": ".join(part for part in (".".join(map(str, problem["loc"])), problem["msg"]) if part)
        for problem in error.errors(include_input=False, include_url=False, include_context=False)
    )
