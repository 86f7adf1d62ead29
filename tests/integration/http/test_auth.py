"""Authentication: tokens, the cookie made from them, and the separation of users."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from app.db import tokens
from app.errors import BadInputError
from app.settings import load
from app.web.http.auth import is_loopback, require_safe_bind
from app.web.serve import run_server
from tests.support.client import BODY, SESSIONS
from tests.support.postgres import Database
from tests.support.running_server import InProcessServer, running_server


async def bearer(server: InProcessServer, user_id: str) -> dict[str, str]:
    _, secret = await server.token(user_id)
    return {"Authorization": f"Bearer {secret}"}


async def test_without_a_valid_token_a_sentence_says_so(database: Database) -> None:
    async with running_server(database, candles=0, auth="token") as server:
        response = await server.call("GET", SESSIONS)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        assert response.json()["error"] == "This call needs a valid token."
        for value in ("", "Bearer", "Bearer nope", "Basic eDp5", "Bearer \u00fc", "Bearer " + "x" * 5000):
            await server.refused(401, "GET", SESSIONS, headers={"Authorization": value.encode("latin1")})


async def test_users_do_not_see_each_others_sessions_nor_share_idempotency_keys(database: Database) -> None:
    async with running_server(database, auth="token") as server:
        anna, berta = await bearer(server, "anna"), await bearer(server, "berta")
        session = await server.data("POST", SESSIONS, {**BODY, "idempotencyKey": "k"}, status=201, headers=anna)
        assert session["userId"] == "anna"
        for caller, status in ((anna, 200), (berta, 404)):
            response = await server.call("HEAD", f"{SESSIONS}/{session['id']}/stream", headers=caller)
            assert response.status_code == status
        assert (await server.data("GET", SESSIONS, headers=berta))["sessions"] == []
        other = await server.data("POST", SESSIONS, {**BODY, "idempotencyKey": "k"}, status=201, headers=berta)
        assert other["id"] != session["id"]


async def test_a_revoked_token_is_worth_nothing(database: Database) -> None:
    async with running_server(database, candles=0, auth="token") as server:
        token_id, secret = await server.token("anna")
        headers = {"Authorization": f"bearer {secret}"}
        await server.data("GET", SESSIONS, headers=headers)
        await server.data("POST", "/login", {"token": secret})
        await server.served.sim.database.run(tokens.revoke, token_id)
        await server.refused(401, "GET", SESSIONS, headers=headers)
        await server.refused(401, "GET", SESSIONS)
        await server.refused(401, "POST", "/login", {"token": secret})


async def test_login_sets_a_cookie_that_works_for_streams_and_ends_with_logout(database: Database) -> None:
    async with running_server(database, auth="token") as server:
        _, secret = await server.token("anna")
        response = await server.call("POST", "/login", {"token": secret})
        assert response.json()["data"] == {"userId": "anna"}
        attributes = set(response.headers["set-cookie"].lower().split("; ")[1:])
        assert attributes == {"httponly", "samesite=strict", "max-age=43200", "path=/"}
        assert secret not in response.headers["set-cookie"]
        session = await server.create()
        async with server.stream(session["id"]) as stream:
            assert (await stream.next())["type"] == "caught_up"
        await server.data("POST", "/logout")
        await server.refused(401, "GET", SESSIONS)


async def test_beyond_loopback_the_cookie_is_secure(database: Database) -> None:
    settings = {"auth": "token", "allowed_hosts": ("sim.example",), "trusted_proxies": "127.0.0.1"}
    async with running_server(database, candles=0, **settings) as server:
        _, secret = await server.token("anna")
        for headers in ({"Host": "sim.example"}, {"X-Forwarded-Proto": "https"}):
            response = await server.call("POST", "/login", {"token": secret}, headers=headers)
            assert "; Secure" in response.headers["set-cookie"]


async def test_a_cookie_cannot_be_made_or_changed(database: Database) -> None:
    async with running_server(database, candles=0, auth="token") as server:
        token_id, secret = await server.token("anna")
        cookie = (await server.call("POST", "/login", {"token": secret})).cookies["zeon"]
        server.client.cookies.clear()
        name, end, signature = cookie.split(".")
        for forged in (
            "",
            "x",
            "..",
            f"{name}.{int(end) + 1}.{signature}",
            f"{name}.1.{signature}",
            f"{uuid4()}.{end}.{signature}",
            f"{token_id}.{end}.",
            f"{name}.{end}.{'0' * 64}",
            f"{name}.{'9' * 5000}.{signature}",
        ):
            await server.refused(401, "GET", SESSIONS, headers={"Cookie": f"zeon={forged}"})
        await server.data("GET", SESSIONS, headers={"Cookie": f"zeon={cookie}"})


async def test_tokens_are_never_taken_from_urls_nor_written_to_logs(database: Database, caplog) -> None:
    caplog.set_level("DEBUG")
    async with running_server(database, candles=0, auth="token") as server:
        _, secret = await server.token("anna")
        await server.refused(401, "GET", f"{SESSIONS}?token={secret}")
        caplog.clear()
        await server.data("GET", SESSIONS, headers={"Authorization": f"Bearer {secret}"})
        await server.data("POST", "/login", {"token": secret})
        assert secret not in "".join(
            record.getMessage() for record in caplog.records if record.name.startswith(("app", "uvicorn"))
        )


async def test_an_open_server_has_no_login(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        await server.refused(400, "POST", "/login", {"token": "x"})
        assert (await server.create())["userId"] == "local"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "sim.example", ""])
def test_without_tokens_only_loopback_is_served(database: Database, host: str) -> None:
    settings = load(database_url=database.url, host=host, port=0)
    with pytest.raises(BadInputError, match="ZEON_AUTH=token"):
        require_safe_bind(settings)
    require_safe_bind(load(host=host, auth="token"))

    async def begin() -> None:
        async with run_server(settings):
            pass

    with pytest.raises(BadInputError):
        asyncio.run(begin())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.1.2.3"])
def test_loopback_needs_no_tokens(host: str) -> None:
    assert is_loopback(host)
    require_safe_bind(load(host=host))
