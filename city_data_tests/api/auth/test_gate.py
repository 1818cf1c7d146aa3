"""Authorisation over HTTP: missing tokens, other tenants, rate limits, body limits, and insecure settings."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from api.auth.rate_limit import RateLimiter
from api.settings import Settings
from city_data_tests.api.conftest import HERE, TRAFFIC, Load, MakeClient
from city_data_tests.api.issuer import AUDIENCE, ISSUER, TENANT_A, TENANT_B, Issuer, bearer, locked_by

DAY = HERE | {"start_date": "2025-10-01", "end_date": "2025-10-01"}
PATH = "/api/v1/tenants/{}/external/operations/historical-traffic-optimized"
CITIES = "/api/v1/external/cities"
PUBLIC = {"/health/live", "/health/ready"}
GOOD = Issuer()
Locked = Callable[..., TestClient]


@pytest.fixture
def locked(make_client: MakeClient, tmp_path: Path) -> Locked:
    def make(**changes: object) -> TestClient:
        return make_client(**{"api_rate_per_s": 0, **locked_by(GOOD, tmp_path), **changes})

    return make


def routes(client: TestClient) -> list[tuple[str, str]]:
    """Every documented method and path of the app."""
    paths = client.app.openapi()["paths"]  # type: ignore[attr-defined]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


def test_every_route_but_health_requires_a_token(locked: Locked) -> None:
    client = locked()
    checked = routes(client)
    assert len([path for _, path in checked if path not in PUBLIC]) >= 10
    served = {route.path for route in iter_route_contexts(client.app.routes)}  # type: ignore[attr-defined]
    # Files, which show nothing of the data.
    assert served - {path for _, path in checked} == {"/", "/page/{name:path}"}
    for method, path in checked:
        response = client.request(
            method, path.format(tenant_id=TENANT_A, city_id="madrid", dataset="traffic", month="2026-10")
        )
        if path in PUBLIC:
            assert response.status_code in (200, 503)
            continue
        assert response.status_code == 401, path
        assert response.json() == {"detail": "A bearer token is required."}
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="city_data"'


@pytest.mark.parametrize("header", ["Basic abc", "Bearer", "Bearer a b", "bearer\tx", ""])
def test_another_authorization_scheme_is_401(locked: Locked, header: str) -> None:
    response = locked().get(CITIES, headers={"Authorization": header})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith('Bearer realm="city_data"')


def test_rejected_token_names_the_reason(locked: Locked) -> None:
    response = locked().get(CITIES, headers=bearer(GOOD.token(aud="another")))
    assert (response.status_code, response.json()) == (401, {"detail": "The token is for another audience."})
    assert response.headers["WWW-Authenticate"] == (
        'Bearer realm="city_data", error="invalid_token", error_description="The token is for another audience."'
    )


def test_token_gives_access_to_its_own_tenant_and_to_routes_without_a_tenant(locked: Locked, load: Load) -> None:
    load("traffic", "2025-10")
    client = locked()
    assert client.get(CITIES, headers=bearer(GOOD.token(tenant_id=None))).status_code == 200
    assert len(client.get(PATH.format(TENANT_A), params=DAY, headers=bearer(GOOD.token())).json()) == 24
    assert client.get(PATH.format(TENANT_A.upper()), params=DAY, headers=bearer(GOOD.token())).status_code == 200
    assert client.get(PATH.format(TENANT_A), params=DAY, headers=bearer(GOOD.token(tenant_id=None))).status_code == 404
    claim = locked(auth_tenant_claim="https://acme.test/tenant")
    renamed = GOOD.token(tenant_id=None, **{"https://acme.test/tenant": TENANT_A})
    assert claim.get(PATH.format(TENANT_A), params=DAY, headers=bearer(renamed)).status_code == 200
    assert claim.get(PATH.format(TENANT_A), params=DAY, headers=bearer(GOOD.token())).status_code == 404


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(own=st.uuids(), other=st.uuids(), data=st.data())
def test_path_of_another_tenant_is_404(
    locked_once: TestClient, own: uuid.UUID, other: uuid.UUID, data: st.DataObject
) -> None:
    tenant_routes = [(method, path) for method, path in routes(locked_once) if "{tenant_id}" in path]
    method, path = data.draw(st.sampled_from(tenant_routes))
    text = data.draw(st.sampled_from([str, lambda u: str(u).upper(), lambda u: u.hex, lambda u: f"{{{u}}}"]))(other)
    sent = bearer(GOOD.token(tenant_id=str(own))) | {"If-None-Match": "*", "X-Tenant-Id": str(own)}
    body = {"latitude": 40.42, "longitude": -3.7, "start_date": "2025-10-01", "end_date": "2025-10-01"}
    response = locked_once.request(
        method,
        path.replace("{tenant_id}", text),
        headers=sent,
        params=DAY | {"tenant_id": str(own)},
        json=body | {"tenant_id": str(own)} if method == "POST" else None,
    )
    assert response.status_code == (200 if own == other else 404) or (own == other and response.status_code == 304)
    assert "x-city-id" not in response.headers or own == other


@pytest.fixture
def locked_once(locked: Locked) -> TestClient:
    return locked()


def test_known_etag_of_another_tenant_is_404(locked: Locked, load: Load) -> None:
    load("traffic", "2025-10")
    client, own = locked(), bearer(GOOD.token())
    first = client.get(PATH.format(TENANT_A), params=DAY, headers=own)
    known = own | {"If-None-Match": first.headers["ETag"]}
    assert client.get(PATH.format(TENANT_A), params=DAY, headers=known).status_code == 304
    refused = client.get(PATH.format(TENANT_B), params=DAY, headers=known)
    assert (refused.status_code, "etag" in refused.headers) == (404, False)
    assert client.get(PATH.format(TENANT_A), params=DAY, headers={"If-None-Match": "*"}).status_code == 401
    assert "private" in first.headers["Cache-Control"]


def test_rate_limit_is_enforced_and_reported_in_headers(locked: Locked) -> None:
    client = locked(api_rate_per_s=0.01, api_rate_burst=3)
    answers = [client.get(CITIES, headers=bearer(GOOD.token())) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    refused = answers[-1]
    assert refused.headers["RateLimit-Limit"] == "3"
    assert 90 <= int(refused.headers["Retry-After"]) <= 100
    assert refused.json()["detail"].startswith("Rate limit exceeded; try again in ")
    assert client.get(CITIES, headers=bearer(GOOD.token(jti="another token"))).status_code == 429
    assert client.get(CITIES, headers=bearer(GOOD.token(sub="another caller"))).status_code == 200
    assert client.get("/health/live").status_code == 200


def test_bucket_refills_up_to_its_burst() -> None:
    now = 0.0
    limiter = RateLimiter(2.0, 4, clock=lambda: now)
    assert [limiter.take("a").allowed for _ in range(5)] == [True, True, True, True, False]
    now = 0.5
    assert (limiter.take("a").allowed, limiter.take("a").allowed) == (True, False)
    now = 1_000_000.0
    assert [limiter.take("a").remaining for _ in range(4)] == [3, 2, 1, 0]


def chunks(total: int) -> list[bytes]:
    return [b"x" * 1000] * (total // 1000)


def test_body_over_the_limit_is_413_with_and_without_content_length(locked: Locked) -> None:
    client, own = locked(api_max_body_bytes=10_000), bearer(GOOD.token())
    path = f"/api/v1/tenants/{TENANT_A}/external/operations/traffic/historical"
    for content in (b"x" * 20_000, iter(chunks(20_000))):
        response = client.post(path, content=content, headers=own | {"Content-Type": "application/json"})
        assert (response.status_code, response.json()) == (413, {"detail": "The body is larger than 10000 bytes."})
    assert client.post(path, content=iter(chunks(9_000)), headers=own).status_code == 422


def test_responses_have_security_headers(locked: Locked) -> None:
    client = locked()
    for response in (client.get("/health/live"), client.get("/nothing"), client.get(CITIES)):
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert "server" not in response.headers


def test_documentation_and_metrics_are_on_the_main_port_in_local_mode_only(locked: Locked, client: TestClient) -> None:
    for path in ("/docs", "/redoc", "/openapi.json", "/metrics"):
        assert locked().get(path, headers=bearer(GOOD.token())).status_code == 404
        assert client.get(path).status_code == 200
    assert "script-src 'self'" in client.get("/docs").headers["Content-Security-Policy"]


def preflight(client: TestClient) -> httpx.Response:
    return client.options(
        TRAFFIC,
        headers={
            "Origin": "https://app.test",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization",
        },
    )


def test_cors_allows_configured_origins_only(locked: Locked) -> None:
    closed, opened = locked(), locked(api_cors_origins="https://app.test, https://other.test")
    assert not [name for name in preflight(closed).headers if name.startswith("access-control")]
    assert preflight(opened).headers["Access-Control-Allow-Origin"] == "https://app.test"
    evil = opened.get(CITIES, headers=bearer(GOOD.token()) | {"Origin": "https://evil.test"})
    assert "Access-Control-Allow-Origin" not in evil.headers


NEEDED = {"auth_jwt_issuer": ISSUER, "auth_jwt_audience": AUDIENCE, "auth_jwks_url": "https://issuer.test/keys"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"auth_jwt_issuer": None}, "AUTH_JWT_ISSUER"),
        ({"auth_jwt_audience": None}, "AUTH_JWT_AUDIENCE"),
        ({"auth_jwks_url": None}, "AUTH_JWKS_FILE or AUTH_JWKS_URL"),
        ({"auth_jwks_file": "/keys.json"}, "not both"),
        ({"auth_jwks_url": "http://issuer.test/keys"}, "https"),
        ({"auth_mode": "none", "api_host": "0.0.0.0"}, "loopback|this machine only"),
        (
            {"tenant_service_url": "http://tenants.test", "tenant_service_token": "t"},
            "TENANT_SERVICE_URL must be https",
        ),
        ({"tenant_service_url": "http://[", "tenant_service_token": "t"}, "TENANT_SERVICE_URL must"),
    ],
)
def test_insecure_settings_are_rejected(changes: dict[str, object], message: str) -> None:
    known = {"database_url": "postgresql://nobody@127.0.0.1/none"}
    assert Settings.model_validate(known | NEEDED).auth_mode == "jwt"
    with pytest.raises(ValueError, match=message):
        Settings.model_validate(known | NEEDED | changes)


@pytest.mark.parametrize("spaces", [1, 2, 7])
def test_spaces_before_a_token_are_the_same_on_every_route(locked: Locked, load: Load, spaces: int) -> None:
    load("traffic", "2025-10")
    client, headers = locked(), {"Authorization": f"Bearer{' ' * spaces}{GOOD.token()}"}
    plain, history = [CITIES, "/api/v1/cities/madrid/months/2025-10"], [TENANT_A, TENANT_A.upper()]
    requests = [(path, {}) for path in plain] + [(PATH.format(tenant), DAY) for tenant in history]
    twice = [client.get(path, params=query, headers=headers) for path, query in requests for _ in range(2)]
    assert [response.status_code for response in twice] == [200] * 8


def test_path_with_a_trailing_slash_is_404_without_a_redirect(locked: Locked) -> None:
    response = locked().get(f"{CITIES}/", headers=bearer(GOOD.token()) | {"Host": "evil.test"}, follow_redirects=False)
    assert (response.status_code, "location" in response.headers) == (404, False)
