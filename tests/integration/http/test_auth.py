"""Authentication: tokens, the cookie made from them, and the separation of users."""

from __future__ import annotations

import asyncio
import hmac
import re
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256

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
        cookie, hint = [set(line.lower().split("; ")[1:]) for line in response.headers.get_list("set-cookie")]
        assert cookie == {"httponly", "samesite=strict", "max-age=43200", "path=/"}
        assert (response.cookies["zeon_login"], hint) == ("trade", cookie - {"httponly"})
        assert secret not in response.headers["set-cookie"]
        session = await server.create()
        async with server.stream(session["id"]) as stream:
            assert (await stream.next())["type"] == "caught_up"
        await server.data("POST", "/logout")
        assert not server.client.cookies
        await server.refused(401, "GET", SESSIONS)


async def test_beyond_loopback_the_cookie_is_secure(database: Database) -> None:
    settings = {"auth": "token", "allowed_hosts": ("sim.example",), "trusted_proxies": "127.0.0.1"}
    async with running_server(database, candles=0, **settings) as server:
        _, secret = await server.token("anna")
        for headers in ({"Host": "sim.example"}, {"X-Forwarded-Proto": "https"}):
            response = await server.call("POST", "/login", {"token": secret}, headers=headers)
            assert "; Secure" in response.headers["set-cookie"]


async def test_what_the_database_stores_is_no_login(database: Database) -> None:
    """Cookies used to be signed with the stored hash of the token: who could read it could make one."""
    async with running_server(database, candles=0, auth="token") as server:
        token_id, secret = await server.token("anna")
        cookie = (await server.call("POST", "/login", {"token": secret})).cookies["zeon"]
        server.client.cookies.clear()
        [(token_hash,)] = database.query("SELECT token_hash FROM sim_tokens")
        [(login_hash,)] = database.query("SELECT login_hash FROM sim_logins")
        name = f"{token_id}.{int(time.time() * 1000) + 3_600_000}"
        signature = hmac.new(token_hash.encode(), name.encode(), sha256).hexdigest()
        for forged in (f"{name}.{signature}", token_hash, login_hash, str(token_id), secret, "", "x", "x" * 4000):
            await server.refused(401, "GET", SESSIONS, headers={"Cookie": f"zeon={forged}"})
        for forged in (token_hash, login_hash, cookie):
            await server.refused(401, "GET", SESSIONS, headers={"Authorization": f"Bearer {forged}"})
        await server.data("GET", SESSIONS, headers={"Cookie": f"zeon={cookie}"})


async def test_a_cookie_is_worth_nothing_after_its_end_its_logout_or_its_token(database: Database) -> None:
    async with running_server(database, candles=0, auth="token") as server:
        token_id, secret = await server.token("anna")

        async def login() -> dict[str, str]:
            value = (await server.call("POST", "/login", {"token": secret})).cookies["zeon"]
            server.client.cookies.clear()
            return {"Cookie": f"zeon={value}"}

        first, second, third = [await login() for _ in range(3)]
        await server.data("POST", "/logout", headers=first)
        await server.refused(401, "GET", SESSIONS, headers=first)
        await server.data("GET", SESSIONS, headers=second)
        database.query("UPDATE sim_logins SET expires_at = now() RETURNING 1")
        await server.refused(401, "GET", SESSIONS, headers=second)
        fourth = await login()
        assert database.query("SELECT count(*) FROM sim_logins") == [(1,)]
        await server.data("GET", SESSIONS, headers=fourth)
        await server.served.sim.database.run(tokens.revoke, token_id)
        for headers in (third, fourth):
            await server.refused(401, "GET", SESSIONS, headers=headers)
        actions = database.query("SELECT action, user_id, via, address FROM sim_audit ORDER BY id")
        logins = [("login", "anna", "http", "127.0.0.1")]
        assert actions == [*logins * 3, ("logout", "anna", "http", "127.0.0.1"), *logins]


async def test_a_login_ends_with_its_token_and_the_oldest_of_too_many_ends(database: Database) -> None:
    async with running_server(database, candles=0, auth="token") as server:
        end = datetime.now(UTC) + timedelta(hours=1)
        _, secret = await server.token("anna", expires_at=end)
        response = await server.call("POST", "/login", {"token": secret})
        assert 3590 <= int(re.search(r"max-age=(\d+)", response.headers["set-cookie"].lower())[1]) <= 3600
        assert database.query("SELECT abs(extract(epoch FROM expires_at) - %s) < 1 FROM sim_logins", end.timestamp())
        oldest = {"Cookie": f"zeon={response.cookies['zeon']}"}
        await server.data("GET", SESSIONS, headers=oldest)
        database.query(
            "INSERT INTO sim_logins (login_hash, user_id, scope, expires_at, created_at)"
            " SELECT i::text, 'anna', 'read', now() + interval '1 hour', now() + interval '1 minute'"
            " FROM generate_series(1, 99) i RETURNING 1"
        )
        await server.data("POST", "/login", {"token": secret})
        server.client.cookies.clear()
        assert database.query("SELECT count(*) FROM sim_logins") == [(100,)]
        await server.refused(401, "GET", SESSIONS, headers=oldest)


async def test_a_token_ends_at_its_end(database: Database) -> None:
    async with running_server(database, candles=0, auth="token") as server:
        for end, status in ((timedelta(minutes=1), 200), (-timedelta(seconds=1), 401)):
            _, secret = await server.token("anna", expires_at=datetime.now(UTC) + end)
            headers = {"Authorization": f"Bearer {secret}"}
            assert (await server.call("GET", SESSIONS, headers=headers)).status_code == status
            assert (await server.call("POST", "/login", {"token": secret})).status_code == status


async def test_a_token_that_may_only_read_cannot_change_anything_nor_can_its_login(database: Database) -> None:
    async with running_server(database, auth="token") as server:
        own = await bearer(server, "anna")
        session = await server.data("POST", SESSIONS, BODY, status=201, headers=own)
        _, secret = await server.token("anna", scope="read")
        await server.data("POST", "/login", {"token": secret})
        for headers in ({"Authorization": f"Bearer {secret}"}, {}):
            assert (await server.data("GET", SESSIONS, headers=headers))["sessions"][0]["id"] == session["id"]
            for path in (SESSIONS, f"{SESSIONS}/{session['id']}/start"):
                answer = await server.refused(403, "POST", path, BODY, headers=headers)
                assert answer["code"] == "insufficient_scope"
                assert "scope trade" in answer["error"]


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
