"""Which tokens are believed, and where the keys come from when the issuer changes them or is away."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Coroutine
from typing import Any, TypeVar
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from api.auth import tokens
from api.auth.tokens import InvalidToken, Keys, KeysUnavailable, Tokens
from api.observability import TOKEN_REASONS
from city_data_tests.api.issuer import AUDIENCE, ISSUER, TENANT_A, Issuer, key_set, service

T = TypeVar("T")
GOOD, OTHER = Issuer("one"), Issuer("two")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Source:
    """A key set that a test changes or takes away; counts how often it is read."""

    def __init__(self, *issuers: Issuer) -> None:
        self.content: bytes | None = key_set(*issuers)
        self.reads = 0

    async def __call__(self) -> bytes:
        self.reads += 1
        if self.content is None:
            raise OSError("away")
        return self.content


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def checked(source: Source, clock: Clock | None = None) -> Tokens:
    return Tokens(Keys(source, clock or Clock()), ISSUER, AUDIENCE, "tenant_id")


def b64(data: bytes | dict[str, Any]) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def hs256_with_the_public_key() -> str:
    pem = GOOD.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = f"{b64({'alg': 'HS256', 'kid': 'one'})}.{b64(GOOD.claims())}"
    return f"{signed}.{b64(hmac.digest(pem, signed.encode(), 'sha256'))}"


def forged_tenant() -> str:
    head, _, signature = GOOD.token().split(".")
    return f"{head}.{b64(GOOD.claims(tenant_id='00000000-0000-4000-8000-00000000000b'))}.{signature}"


BAD = {
    "alg none": (lambda: f"{b64({'alg': 'none'})}.{b64(GOOD.claims())}.", "algorithm"),
    "alg nOnE": (lambda: f"{b64({'alg': 'nOnE', 'kid': 'one'})}.{b64(GOOD.claims())}.", "algorithm"),
    "HS256 with the public key": (hs256_with_the_public_key, "algorithm"),
    "RS512": (lambda: jwt.encode(GOOD.claims(), GOOD.key, "RS512", {"kid": "one"}), "algorithm"),
    "expired": (lambda: GOOD.token(exp=int(time.time()) - 31), "expired"),
    "wrong audience": (lambda: GOOD.token(aud="another"), "audience"),
    "wrong issuer": (lambda: GOOD.token(iss="https://evil.test"), "issuer"),
    "no exp": (lambda: GOOD.token(exp=None), "claims"),
    "no aud": (lambda: GOOD.token(aud=None), "claims"),
    "no iss": (lambda: GOOD.token(iss=None), "claims"),
    "no sub": (lambda: GOOD.token(sub=None), "claims"),
    "not yet": (lambda: GOOD.token(nbf=int(time.time()) + 600), "claims"),
    "tenant is no UUID": (lambda: GOOD.token(tenant_id="*"), "claims"),
    "tenant is a list": (lambda: GOOD.token(tenant_id=[TENANT_A]), "claims"),
    "another's key, the same id": (lambda: Issuer("one").token(), "signature"),
    "another tenant written in": (forged_tenant, "signature"),
    "a key that is not published": (lambda: OTHER.token(), "key"),
    "a key brought along": (
        lambda: jwt.encode(OTHER.claims(), OTHER.key, "RS256", {"kid": "two", "jwk": OTHER.public()}),
        "key",
    ),
    "no JWT": (lambda: "abc", "malformed"),
    "NUL": (lambda: "\x00.\x00.\x00", "malformed"),
    "a lone surrogate": (lambda: "\ud800.a.b", "malformed"),
    "nested deep": (lambda: f"{b64(b'[' * 5000)}.e30.x", "malformed"),
    "too long": (lambda: GOOD.token(pad="x" * tokens.MAX_TOKEN_BYTES), "malformed"),
    "exp of 400 digits": (lambda: GOOD.token(exp=10**400), "claims"),
    "exp without end": (
        lambda: jwt.api_jws.encode(
            json.dumps(GOOD.claims()).replace(str(GOOD.claims()["exp"]), "1e999").encode(),
            GOOD.key,
            "RS256",
            {"kid": "one"},
        ),
        "malformed",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_token_is_refused_with_its_reason(name: str) -> None:
    make, reason = BAD[name]
    with pytest.raises(InvalidToken) as caught:
        run(checked(Source(GOOD)).caller(make()))
    assert caught.value.reason == reason
    assert reason in TOKEN_REASONS
    assert '"' not in str(caught.value)  # it is quoted in a header


def test_a_good_token_gives_its_caller() -> None:
    caller = run(checked(Source(GOOD, OTHER)).caller(GOOD.token()))
    assert (caller.subject, caller.tenant) == ("trainer", UUID(TENANT_A))
    assert run(checked(Source(GOOD)).caller(GOOD.token(tenant_id=None))).tenant is None
    assert run(checked(Source(GOOD)).caller(GOOD.token(exp=int(time.time()) - 20))).subject == "trainer"  # leeway


def test_a_token_without_key_id_means_the_only_key() -> None:
    nameless = Issuer(None)
    assert run(checked(Source(nameless)).caller(nameless.token())).subject == "trainer"
    with pytest.raises(InvalidToken):
        run(checked(Source(GOOD, OTHER)).caller(nameless.token()))


def test_a_remembered_token_is_not_verified_again_and_ends_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    made = Tokens(Keys(Source(GOOD), Clock()), ISSUER, AUDIENCE, "tenant_id", clock=lambda: now)
    token = GOOD.token(exp=int(now) + 60)

    async def asks() -> None:
        nonlocal now
        caller = await made.caller(token)
        monkeypatch.setattr(jwt, "decode", lambda *_, **__: pytest.fail("verified again"))
        assert await made.caller(token) is caller
        monkeypatch.undo()
        now += 60 + tokens.LEEWAY_S + 1
        monkeypatch.setattr(jwt, "decode", expired)
        with pytest.raises(InvalidToken):
            await made.caller(token)

    def expired(*_: object, **__: object) -> None:
        raise jwt.ExpiredSignatureError

    run(asks())


def test_rotated_keys_are_read_again() -> None:
    source, clock = Source(GOOD), Clock()
    made = checked(source, clock)

    async def asks() -> None:
        old = GOOD.token()
        await made.caller(old)
        source.content = key_set(OTHER)
        for _ in range(20):  # unknown ids do not make this a hammer on the issuer
            with pytest.raises(InvalidToken):
                await made.caller(OTHER.token())
        assert source.reads == 1
        clock.now += tokens.BETWEEN_READS_S
        assert (await made.caller(OTHER.token())).subject == "trainer"
        assert source.reads == 2
        with pytest.raises(InvalidToken):  # remembered, but its key has been withdrawn
            await made.caller(old)

    run(asks())


def test_last_good_keys_are_used_while_the_issuer_is_unavailable() -> None:
    source, clock = Source(GOOD), Clock()
    made = checked(source, clock)
    small = Issuer("one", bits=1024)

    async def asks() -> None:
        await made.caller(GOOD.token())
        for content in (
            None,
            b"<html>",
            b"[]",
            b'{"keys": []}',
            b'{"keys": [{"kty": "RSA"}]}',
            b"[" * 9000,
            key_set(small),
        ):
            source.content = content
            clock.now += tokens.MAX_AGE_S
            reads = source.reads
            await made.caller(GOOD.token())
            await asyncio.sleep(0.01)  # the reading goes on behind the request
            assert source.reads == reads + 1
            assert (await made.caller(GOOD.token(jti=str(reads)))).subject == "trainer"

    run(asks())


def test_keys_never_read_are_unavailable_until_the_issuer_answers() -> None:
    source, clock = Source(GOOD), Clock()
    good, source.content = source.content, None
    made = checked(source, clock)

    async def asks() -> None:
        for _ in range(5):
            with pytest.raises(KeysUnavailable):
                await made.caller(GOOD.token())
        assert source.reads == 1
        source.content = good
        clock.now += tokens.BETWEEN_READS_S
        assert (await made.caller(GOOD.token())).subject == "trainer"

    run(asks())


def test_concurrent_requests_share_one_read_of_the_key_set() -> None:
    with service() as issuer:
        issuer.body, issuer.delay_s = key_set(GOOD), 0.05
        made = Tokens(tokens.keys_from_url(f"{issuer.url}/keys"), ISSUER, AUDIENCE, "tenant_id")

        async def asks() -> list[tokens.Caller]:
            return await asyncio.gather(*(made.caller(GOOD.token(jti=str(n))) for n in range(20)))

        assert {caller.subject for caller in run(asks())} == {"trainer"}
        assert [path for path, _ in issuer.requests] == ["/keys"]


@pytest.mark.parametrize(("status", "body"), [(500, b""), (302, b""), (200, b" " * 1_100_000)])
def test_url_without_a_key_set_is_unavailable(status: int, body: bytes) -> None:
    with service() as issuer:
        issuer.status, issuer.body = status, body
        made = Tokens(tokens.keys_from_url(issuer.url), ISSUER, AUDIENCE, "tenant_id")
        with pytest.raises(KeysUnavailable):
            run(made.caller(GOOD.token()))


WRONG_KEYS: list[Any] = [
    None,
    7,
    "key",
    [],
    {},
    {"kty": ["RSA"]},
    {"kty": "RSA"},
    {"kty": "RSA", "n": "", "e": "AQAB"},
    {"kty": "RSA", "n": 5, "e": None},
    {"kty": "RSA", "n": "!!", "e": "AQAB", "kid": "bad"},
    {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "short"},
    {"kty": "RSA", "use": ["sig"], "n": "AQAB", "e": "AQAB"},
    {**GOOD.public(), "kid": ["one"]},
    {**GOOD.public(), "kid": {}},
    {**GOOD.public(), "e": "AA"},
    {**Issuer("small", bits=1024).public()},
]


@pytest.mark.parametrize("wrong", WRONG_KEYS, ids=range(len(WRONG_KEYS)))  # keys are new in each process
def test_an_unusable_key_is_skipped_and_the_others_are_used(wrong: Any) -> None:
    source = Source()
    source.content = json.dumps({"keys": [wrong, GOOD.public()]}).encode()
    assert run(checked(source).caller(GOOD.token())).subject == "trainer"


@pytest.mark.parametrize("document", [[], 7, None, {}, {"keys": None}, {"keys": {}}, {"keys": [7]}, {"keys": "one"}])
def test_set_without_a_usable_key_is_unavailable(document: Any) -> None:
    source = Source()
    source.content = json.dumps(document).encode()
    with pytest.raises(KeysUnavailable):
        run(checked(source).caller(GOOD.token()))


def test_keys_not_published_for_a_day_are_no_longer_trusted() -> None:
    source, clock = Source(GOOD), Clock()
    known, token = checked(source, clock), GOOD.token()

    async def days() -> None:
        await known.caller(token)
        source.content = None
        clock.now += tokens.MAX_TRUSTED_S
        assert (await known.caller(token)).subject == "trainer"
        clock.now += 1
        assert known.remembered(tokens.token_digest(token)) is None
        with pytest.raises(KeysUnavailable):
            await known.caller(token)
        source.content = key_set(GOOD)
        clock.now += tokens.BETWEEN_READS_S
        assert (await known.caller(token)).subject == "trainer"

    run(days())
