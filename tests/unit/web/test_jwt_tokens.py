"""Which JWTs are accepted, and whose they are; keys that change, are away or broken."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest

from app.clock import Clock
from app.errors import BadInputError, IssuerAwayError, UnauthorizedError
from app.web.identity.issuer_keys import IssuerKeys, ReadLimits, issuer_keys
from app.web.identity.jwks import UnreadableKeysError, parse_keys
from app.web.identity.jwt_tokens import LEEWAY_S, JwtUser, JwtVerifier
from tests.support.issuer import AUDIENCE, ISSUER, JwksServer, jwk, jwks, jwks_server, private_key, public_pem, token

ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
QUICK = ReadLimits(max_age_s=0.5, pause_s=0.05, at_once=2, timeout_s=0.3)


@pytest.fixture
def server() -> Iterator[JwksServer]:
    with jwks_server() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JWKS with a key for each algorithm, and keys that must not be used."""
    file = tmp_path_factory.mktemp("issuer") / "jwks.json"
    secret = {"kty": "oct", "k": base64.urlsafe_b64encode(b"x" * 32).decode(), "kid": "secret", "alg": "HS256"}
    unusable = (secret, jwk("ES256", "other", use="enc"), jwk("RS256", "short"), {"kty": "EC"}, "x", None)
    file.write_text(json.dumps({"keys": [*unusable, *map(jwk, ALGORITHMS)]}))
    return file


@asynccontextmanager
async def verifier(source: object, limits: ReadLimits = QUICK, claim: str = "sub") -> AsyncIterator[JwtVerifier]:
    async with issuer_keys(str(source), limits) as keys:
        yield JwtVerifier(keys, Clock(), issuer=ISSUER, audience=AUDIENCE, user_claim=claim)


async def refusal(verify: JwtVerifier, presented: str) -> str:
    with pytest.raises(UnauthorizedError) as caught:
        await verify.user(presented)
    return caught.value.message


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_token_of_the_issuer_names_its_user_and_its_end(key_file: Path, algorithm: str) -> None:
    end = int(time.time()) + 100
    async with verifier(key_file) as verify:
        assert await verify.user(token(algorithm, exp=end)) == JwtUser("anna", end * 1000)


async def test_audience_may_be_a_list_the_claim_another_and_the_key_id_missing(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    key = jwk("RS256")
    file.write_text(jwks({name: key[name] for name in ("kty", "n", "e")}))
    async with verifier(file, claim="email") as verify:
        for algorithm in ("RS256", "PS256"):
            presented = token(
                algorithm, key=private_key("RS256"), header={"kid": None}, aud=["other", AUDIENCE], email="a@b.example"
            )
            assert (await verify.user(presented)).user_id == "a@b.example"


async def test_a_token_without_a_key_id_is_refused_where_several_keys_fit(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(jwks(jwk("ES256"), jwk("ES256", "two")))
    async with verifier(file) as verify:
        assert "does not publish" in await refusal(verify, token(header={"kid": None}))


async def test_clocks_may_differ_by_a_minute(key_file: Path) -> None:
    now = int(time.time())
    async with verifier(key_file) as verify:
        late = await verify.user(token(exp=now - LEEWAY_S + 5))
        assert late.until_ms == (now + 5) * 1000
        await verify.user(token(nbf=now + LEEWAY_S - 5, iat=now + LEEWAY_S - 5))
        assert "expired" in await refusal(verify, token(exp=now - LEEWAY_S - 5))
        assert "not valid yet" in await refusal(verify, token(nbf=now + LEEWAY_S + 5))


def forged(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def signed_with_public_key() -> str:
    """Algorithm confusion: HS256 with the public key as the secret; PyJWT itself would refuse to make one."""
    body = forged({"alg": "HS256", "kid": "RS256 one", "typ": "JWT"}, valid_claims()).rpartition(".")[0]
    mac = hmac.new(public_pem("RS256"), body.encode(), hashlib.sha256).digest()
    return f"{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def valid_claims() -> dict[str, Any]:
    return {"iss": ISSUER, "aud": AUDIENCE, "sub": "anna", "exp": int(time.time()) + 60}


async def test_every_forged_or_foreign_token_is_refused_with_the_reason(key_file: Path) -> None:
    body, _, signature = token().rpartition(".")
    wrong_alg = "its algorithm is not one of"
    unknown = "a key that its issuer does not publish"
    cases = [
        (signed_with_public_key(), wrong_alg),
        (jwt.encode(valid_claims(), "x" * 32, "HS256", {"kid": "secret"}), wrong_alg),
        (forged({"alg": "none"}, valid_claims()), wrong_alg),
        (forged({"alg": "None", "kid": "ES256 one"}, valid_claims()), wrong_alg),
        (forged({"alg": ["ES256"], "kid": "ES256 one"}, valid_claims()), wrong_alg),
        (forged({"alg": "ES256", "kid": "ES256 one"}, valid_claims()), "signature"),
        (f"{body}.{signature[:-4]}AAAA", "signature"),
        (f"{body}.", "signature"),
        (token(key=private_key("ES256", "other")), "signature"),
        (token("ES256", "other"), unknown),
        (forged({"alg": "RS256", "kid": "RS256 short"}, valid_claims()), unknown),
        (token("RS256", header={"kid": "ES256 one"}), unknown),
        (token("PS256", key=private_key("RS256"), header={"kid": "RS256 one"}), unknown),
        (token(aud="other"), "audience"),
        (token(aud=[]), "aud"),
        (token(without=("aud",)), "no claim aud"),
        (token(iss=f"{ISSUER}/"), "issuer"),
        (token(without=("iss",)), "no claim iss"),
        (token(without=("exp",)), "no claim exp"),
        (token(exp="soon"), "malformed"),
        (token(exp=float("inf")), "malformed"),
        (token(exp=None), "no claim exp"),
        (token(without=("sub",)), "claim sub"),
        *((token(sub=user), "sub") for user in ("", " anna", "an\nna", "a\x00", "x" * 256, "\u202eanna", "\ud800")),
        ("a.b.c", "malformed"),
        ("..", "malformed"),
        ("x" * 9000 + "..", "longer"),
        (forged({"alg": "ES256", "kid": "ES256 one", "crit": ["b64"], "b64": False}, valid_claims()), ""),
    ]
    async with verifier(key_file, ReadLimits(at_once=1)) as verify:
        for presented, reason in cases:
            answer = await refusal(verify, presented)
            assert reason in answer, (presented[:80], answer)
            assert presented not in answer


async def test_a_new_key_is_found_at_once_and_a_removed_one_is_forgotten(server: JwksServer) -> None:
    async with verifier(server.url) as verify:
        await verify.user(token())
        server.content = jwks(jwk("ES256"), jwk("ES256", "two"))
        await asyncio.gather(*(verify.user(token("ES256", "two")) for _ in range(20)))
        assert server.asked == 2
        server.content = jwks(jwk("ES256", "two"))
        deadline = time.monotonic() + 5
        while True:
            try:
                await verify.user(token())
            except UnauthorizedError:
                break
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


async def test_tokens_with_unknown_keys_do_not_let_the_issuer_be_asked_for_each(server: JwksServer) -> None:
    limits = ReadLimits(at_once=2, pause_s=3600)
    async with verifier(server.url, limits) as verify:
        for number in range(50):
            assert "does not publish" in await refusal(verify, token(header={"kid": str(number)}))
        assert server.asked == 1 + limits.at_once
        await verify.user(token())


async def test_while_the_issuer_does_not_answer_known_keys_work_and_the_loop_goes_on(server: JwksServer) -> None:
    async with verifier(server.url, QUICK._replace(timeout_s=5)) as verify:
        server.may_answer.clear()
        waiting = [asyncio.create_task(verify.user(token("ES256", "two"))) for _ in range(30)]
        started = time.monotonic()
        for _ in range(20):
            await asyncio.sleep(0)
            await verify.user(token())
        assert time.monotonic() - started < 1
        assert not any(task.done() for task in waiting)
        assert server.asked <= 2
        server.content = jwks(jwk("ES256", "two"))
        server.may_answer.set()
        assert {(await task).user_id for task in waiting} == {"anna"}
        assert server.asked == 2


@pytest.mark.parametrize("fault", ["silent", "status", "broken", "empty", "redirect", "large"])
async def test_when_the_issuer_is_away_known_keys_stay_in_use_and_others_cannot_be_told(
    server: JwksServer, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    async with verifier(server.url, QUICK) as verify:
        break_(server, fault)
        with pytest.raises(IssuerAwayError):
            await verify.user(token("ES256", "two"))
        assert (await verify.user(token())).user_id == "anna"
        assert any("ZEON_JWT_JWKS" in record.getMessage() for record in caplog.records)
        mend(server, jwks(jwk("ES256"), jwk("ES256", "two")))
        await asyncio.sleep(QUICK.pause_s)
        assert (await verify.user(token("ES256", "two"))).user_id == "anna"


def break_(server: JwksServer, fault: str) -> None:
    if fault == "silent":
        server.may_answer.clear()
    elif fault == "redirect":
        server.status, server.headers = 302, {"Location": "http://127.0.0.1:1/jwks"}
    elif fault == "status":
        server.status = 500
    else:
        server.content = {"broken": "{", "empty": '{"keys": []}', "large": " " * (1 << 21)}[fault]


def mend(server: JwksServer, content: str) -> None:
    server.status, server.headers, server.content = 200, {}, content
    server.may_answer.set()


async def test_an_issuer_that_is_away_at_the_start_is_asked_again(server: JwksServer) -> None:
    server.status = 503
    async with verifier(server.url) as verify:
        with pytest.raises(IssuerAwayError):
            await verify.user(token())
        server.status = 200
        await asyncio.sleep(QUICK.pause_s)
        assert (await verify.user(token())).user_id == "anna"


async def test_keys_that_could_not_be_read_for_a_day_are_no_longer_used(server: JwksServer) -> None:
    now = 1000.0
    keys = IssuerKeys(server.url, QUICK, now=lambda: now)
    await keys.read()
    server.status = 500
    now += 23 * 3600
    assert await keys.find("ES256 one", "ES256") is not None
    now += 2 * 3600
    with pytest.raises(IssuerAwayError):
        await keys.find("ES256 one", "ES256")
    await keys.close()


async def test_a_file_of_keys_must_be_readable_at_the_start_and_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    for content in (None, "", "{", "[]", '{"keys": 1}', '{"keys": [{"kty": "oct", "k": "eA"}]}', "[" * 100_000):
        if content is not None:
            file.write_text(content)
        with pytest.raises(BadInputError, match=r"ZEON_JWT_JWKS: .*jwks\.json"):
            async with issuer_keys(str(file)):
                pass
    with pytest.raises(BadInputError, match="not a file"):
        async with issuer_keys("/dev/zero"):
            pass
    file.write_text(jwks(jwk("ES256")))
    async with verifier(file) as verify:
        file.write_text(jwks(jwk("ES256", "two")))
        assert (await verify.user(token("ES256", "two"))).user_id == "anna"
        file.unlink()
        assert (await verify.user(token("ES256", "two"))).user_id == "anna"


async def test_an_address_that_others_could_answer_for_is_refused() -> None:
    with pytest.raises(BadInputError, match="https://"):
        async with issuer_keys("http://issuer.example/jwks"):
            pass


def test_private_keys_in_a_jwks_are_used_as_public_ones_and_no_secret_is_kept() -> None:
    private = json.loads(jwt.get_algorithm_by_name("ES256").to_jwk(private_key("ES256")))
    [key] = parse_keys(jwks(private).encode())
    assert "d" not in key.fields
    with pytest.raises(UnreadableKeysError):
        parse_keys(b'{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}, {"kty": "EC", "crv": "P-256", "x": 1}]}')
