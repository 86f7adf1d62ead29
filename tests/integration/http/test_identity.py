"""JWTs, proxies and share links over HTTP: who may call, what ends with whom, and what the audit trail says."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx2
import psycopg
import pytest

from app.candles.cache.deletion import delete_series
from app.candles.sources.synthetic import candles as made_up
from app.db import audit, tokens
from app.db import candles as cache
from app.db.log import events
from app.errors import BadInputError
from app.web.http.auth import RefusedLogins
from tests.support.client import BODY, SESSIONS
from tests.support.issuer import AUDIENCE, ISSUER, JwksServer, jwk, jwks, jwks_server, token
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS
from tests.support.running_server import InProcessServer, running_server

PATTERN = r"http://127\.0\.0\.1:\d+/sessions/([0-9a-f-]{36})\?share=(zeon_share_[\w-]{43})"


@pytest.fixture(scope="module")
def issuer() -> Iterator[JwksServer]:
    with jwks_server() as server:
        yield server


@asynccontextmanager
async def jwt_server(database: Database, issuer: JwksServer, **changes: Any) -> AsyncIterator[InProcessServer]:
    issuer.content = jwks(jwk("ES256"))
    settings = {"jwt_jwks": issuer.url, "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "heartbeat_ms": 100}
    async with running_server(database, **({"auth": "jwt"} | settings | changes)) as server:
        yield server


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def test_a_jwt_names_the_user_and_its_streams_end_with_it(database: Database, issuer: JwksServer) -> None:
    async with jwt_server(database, issuer) as server:
        session = await server.data("POST", SESSIONS, BODY, status=201, headers=bearer(token()))
        assert session["userId"] == "anna"
        path = f"{SESSIONS}/{session['id']}"
        await server.refused(404, "GET", path, headers=bearer(token(sub="berta")))
        for wrong in (token(aud="other"), token(exp=int(time.time()) - 100), token()[:-6] + "AAAAAA", "x.y.z"):
            answer = await server.refused(401, "GET", path, headers=bearer(wrong))
            assert answer["error"].startswith("This JWT is not valid: ")
        end = int(time.time()) + 1
        async with server.stream(session["id"], Authorization=f"Bearer {token(exp=end)}") as stream:
            await stream.rest()
            assert end - 0.1 <= time.time() < end + 2
        _, opaque = await server.token("anna")
        await server.refused(401, "GET", path, headers=bearer(opaque))
        ended = int(time.time()) - 58  # Clocks may differ by a minute: what begins in that minute ends with it.
        async with server.stream(session["id"], Authorization=f"Bearer {token(exp=ended)}") as stream:
            login = await server.call("POST", "/login", {"token": token(exp=ended)})
            assert int(re.search(r"max-age=(\d+)", login.headers["set-cookie"].lower())[1]) <= 2
            await stream.rest()
            assert time.time() < ended + 60 + 2
        await server.refused(401, "GET", path)


async def test_a_jwt_logs_a_browser_in_until_it_ends(database: Database, issuer: JwksServer) -> None:
    async with jwt_server(database, issuer, auth="token,jwt") as server:
        answer = await server.call("POST", "/login", {"token": token(exp=int(time.time()) + 600)})
        assert answer.json()["data"] == {"userId": "anna"}
        assert 590 <= int(re.search(r"max-age=(\d+)", answer.headers["set-cookie"].lower())[1]) <= 600
        session = await server.create()
        async with server.stream(session["id"]) as stream:
            await stream.next()
            await server.data("POST", "/logout")
            await stream.rest()
        await server.data("POST", "/login", {"token": token(exp=int(time.time()) + 1)})
        async with server.stream(session["id"]) as stream:
            await stream.rest()
        await server.refused(401, "GET", SESSIONS)
        answer = await server.refused(401, "POST", "/login", {"token": token(iss="https://other.example")})
        assert "another issuer" in answer["error"]
        _, opaque = await server.token("berta")
        assert await server.data("POST", "/login", {"token": opaque}) == {"userId": "berta"}


async def test_while_the_issuer_is_away_jwts_are_answered_with_503_and_other_calls_work(
    database: Database, issuer: JwksServer
) -> None:
    issuer.status = 500
    try:
        async with jwt_server(database, issuer, auth="jwt,token", candles=0) as server:
            answer = await server.refused(503, "GET", SESSIONS, headers=bearer(token()))
            assert answer["code"] == "issuer_away"
            await server.data("GET", SESSIONS, headers=bearer((await server.token("anna"))[1]))
            issuer.status = 200
            await server.data("GET", SESSIONS, headers=bearer(token()))
    finally:
        issuer.status = 200


async def test_a_server_does_not_start_with_a_broken_file_of_keys(database: Database, tmp_path: Any) -> None:
    (tmp_path / "jwks.json").write_text("{")
    settings = {"jwt_jwks": str(tmp_path / "jwks.json"), "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}
    with pytest.raises(BadInputError, match=r"ZEON_JWT_JWKS: .*jwks\.json: it is not a JWKS"):
        async with running_server(database, candles=0, auth="jwt", **settings):
            pass


async def test_only_a_trusted_proxy_names_the_user(database: Database) -> None:
    settings = {"auth": "proxy", "proxy_user_header": "X-User", "candles": 0}
    async with running_server(database, trusted_proxies="127.0.0.1", **settings) as server:
        session = await server.data("POST", SESSIONS, BODY, status=201, headers={"x-USER": "anna"})
        assert session["userId"] == "anna"
        await server.refused(404, "GET", f"{SESSIONS}/{session['id']}", headers={"X-User": "berta"})
        await server.data("GET", SESSIONS, headers={**bearer("of-the-proxy"), "X-User": "anna"})
        assert (await server.data("GET", SESSIONS, headers=[(b"X-User", "zoë".encode())]))["sessions"] == []
        for wrong in ([], [("X-User", "")], [("X-User", "a\tb")], [("X-User", "x" * 300)], [(b"X-User", b"\xff")]):
            await server.refused(401, "GET", SESSIONS, headers=wrong)
        twice = await server.refused(401, "GET", SESSIONS, headers=[("X-User", "anna"), ("X-User", "berta")])
        assert "given twice" in twice["error"]
        await server.refused(400, "POST", "/login", {"token": "x"})
    async with running_server(database, trusted_proxies="10.0.0.0/8", **settings) as server:
        await server.refused(401, "GET", SESSIONS, headers={"X-User": "anna", "X-Forwarded-For": "10.0.0.1"})


async def shared(server: InProcessServer, session_id: str, **fields: Any) -> tuple[str, str]:
    """Create a link; returns the id of its key, and the key as the parameter of a call."""
    answer = await server.data("POST", f"{SESSIONS}/{session_id}/share", fields, status=201)
    match = re.fullmatch(PATTERN, answer["url"])
    assert match is not None
    assert match[1] == session_id
    return answer["keyId"], f"share={match[2]}"


async def test_a_link_shows_one_session_and_changes_nothing(database: Database) -> None:
    async with running_server(database, auth="token") as server:
        server.client.headers["Authorization"] = f"Bearer {(await server.token('anna'))[1]}"
        session, other = await server.finished(), await server.create()
        path = f"{SESSIONS}/{session['id']}"
        key_id, key = await shared(server, session["id"], expiresIn=3600, name="for the team")
        [listed] = (await server.data("GET", f"{path}/share"))["links"]
        assert (listed["keyId"], listed["name"]) == (key_id, "for the team")
        assert abs(listed["expiresAtMs"] - listed["createdAtMs"] - 3_600_000) < 1000
        del server.client.headers["Authorization"]

        assert (await server.data("GET", f"{path}?{key}"))["id"] == session["id"]
        async with server.stream(session["id"], f"?fromSeq=1&{key}") as stream:
            await stream.rest()
        assert [event["seq"] for event in stream.events] == list(range(1, session["lastSeq"] + 1))
        assert (await server.data("GET", f"{path}/events?limit=2&{key}"))["lastSeq"] == session["lastSeq"]
        assert (await server.data("GET", f"{path}/stats?{key}"))["seq"] == session["lastSeq"]
        await server.data("GET", f"{path}/equity?points=10&{key}")
        assert (await server.call("GET", f"/sessions/{session['id']}?{key}")).status_code == 200

        for method, wrong in (
            ("POST", f"{path}/pause"),
            ("POST", f"{path}/share"),
            ("GET", f"{path}/share"),
            ("DELETE", f"{path}/share/{key_id}"),
            ("PATCH", path),
            ("DELETE", path),
            ("GET", SESSIONS),
            ("GET", f"{path}/export?what=events&format=csv"),
        ):
            answer = await server.refused(403, method, f"{wrong}{'&' if '?' in wrong else '?'}{key}", {})
            assert answer["code"] == "insufficient_scope"
        await server.refused(404, "GET", f"{SESSIONS}/{other['id']}?{key}")
        await server.refused(404, "GET", f"{SESSIONS}/{other['id']}/events?{key}")
        await server.refused(400, "GET", f"{path}?{key}&{key}")
        await server.refused(401, "GET", path, headers=bearer(key.removeprefix("share=")))
        await server.refused(401, "GET", path, headers={"Cookie": f"zeon={key.removeprefix('share=')}"})
        await server.refused(401, "POST", "/login", {"token": key.removeprefix("share=")})


async def test_a_link_ends_when_it_is_revoked_or_over_or_its_session_is_deleted(database: Database) -> None:
    async with running_server(database, candles=0, auth="token", heartbeat_ms=50) as server:
        server.client.headers["Authorization"] = f"Bearer {(await server.token('anna'))[1]}"
        session, other = await server.create(), await server.create()
        path = f"{SESSIONS}/{session['id']}"
        links = [await shared(server, session["id"], expiresIn=span) for span in (60, "12h", "7d")]
        for wrong in (59, "1y", "", -1, 1.5, 400 * 86_400, "400d", "1" * 30 + "d", True):
            assert "expiresIn" in (await server.refused(400, "POST", f"{path}/share", {"expiresIn": wrong}))["error"]
        (revoked_id, revoked), (_, over), (_, left) = links
        await server.refused(404, "DELETE", f"{SESSIONS}/{other['id']}/share/{revoked_id}")
        for wrong in (uuid4(), "x", (await server.token("anna"))[0]):
            await server.refused(404, "DELETE", f"{path}/share/{wrong}")
        async with server.stream(session["id"], f"?{revoked}") as stream:
            await stream.next()
            await server.data("DELETE", f"{path}/share/{revoked_id}")
            await stream.rest()
        await server.refused(404, "DELETE", f"{path}/share/{revoked_id}")
        async with server.stream(session["id"], f"?{over}") as stream:
            await stream.next()
            key_hash = tokens.token_hash(over.removeprefix("share="))
            database.query("UPDATE sim_tokens SET expires_at = now() WHERE token_hash = %s RETURNING 1", key_hash)
            await stream.rest()
        for key in (revoked, over, "share=", "share=x"):
            answer = await server.refused(401, "GET", f"{path}?{key}")
            assert answer["error"] == "This link is no longer valid."
        assert len((await server.data("GET", f"{path}/share"))["links"]) == 1
        await server.data("DELETE", path)
        await server.refused(401, "GET", f"{path}?{left}")
        assert database.query("SELECT count(*) FROM sim_tokens WHERE kind = 'share'") == [(0,)]


async def test_a_session_has_at_most_a_hundred_links(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        session = await server.create()
        database.query(
            "INSERT INTO sim_tokens (user_id, token_hash, kind, scope, session_id, expires_at)"
            " SELECT 'local', i::text, 'share', 'read', %s, now() + interval '1 day' FROM generate_series(1, 97) i"
            " RETURNING 1",
            session["id"],
        )
        path = f"{SESSIONS}/{session['id']}/share"
        answers = await asyncio.gather(*(server.call("POST", path, {}) for _ in range(12)))
        assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 9


async def test_keys_are_not_written_to_logs(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with running_server(database, candles=0) as server:
        session = await server.create()
        _, key = await shared(server, session["id"])
        caplog.clear()
        await server.data("GET", f"{SESSIONS}/{session['id']}?{key}")
        await server.refused(400, "GET", f"{SESSIONS}/{session['id']}/events?limit=x&{key}")
        await server.refused(404, "GET", f"/nothing?{key}")
        ours = [record for record in caplog.records if record.name.startswith(("app", "uvicorn", "asyncio"))]
        assert key.removeprefix("share=") not in "".join(record.getMessage() for record in ours)


@pytest.mark.parametrize("how", ["token revoked", "token deleted", "session deleted", "session deleted at the end"])
async def test_an_export_is_cut_off_within_a_heartbeat(
    database: Database, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The file never looks whole: what the client gets ends in an error."""
    go_on = asyncio.Event()
    rows_between = events.rows_between

    async def rows_then_wait(*arguments: Any) -> Any:
        page = await rows_between(*arguments)
        if arguments[2] > 0:
            await go_on.wait()
        return page

    monkeypatch.setattr(events, "rows_between", rows_then_wait)
    monkeypatch.setattr(events, "MAX_PAGE_ROWS", 60)
    quick = how != "session deleted at the end"
    async with running_server(database, auth="token", heartbeat_ms=50 if quick else 60_000) as server:
        token_id, secret = await server.token("anna")
        server.client.headers["Authorization"] = f"Bearer {secret}"
        session = await server.finished()
        query = "/export?what=events&format=csv"
        async with server.client.stream("GET", f"{SESSIONS}/{session['id']}{query}") as response:
            parts = response.aiter_raw()
            await anext(parts)
            if how == "token revoked":
                await server.served.sim.database.run(tokens.revoke, token_id)
            elif how == "token deleted":
                database.query("DELETE FROM sim_tokens RETURNING 1")
            else:
                await server.served.sim.delete("anna", session["id"])
            if not quick:
                go_on.set()
            began = time.monotonic()
            with pytest.raises(httpx2.RemoteProtocolError):
                async for _ in parts:
                    pass
        go_on.set()
        assert time.monotonic() - began < 5


async def test_the_audit_trail_says_who_did_what_from_where_and_no_secret(database: Database) -> None:
    async with running_server(database, auth="token", trusted_proxies="127.0.0.1") as server:
        token_id, secret = await server.token("anna")
        far = {"X-Forwarded-For": "192.0.2.7"}
        response = await server.call("POST", "/login", {"token": secret}, headers={**far, "X-Request-Id": "abc-1"})
        assert response.headers["x-request-id"] == "abc-1"
        await server.refused(401, "POST", "/login", {"token": "zeon_wrong"}, headers=far)
        session = await server.create()
        path = f"{SESSIONS}/{session['id']}"
        key_id, key = await shared(server, session["id"])
        await server.data("DELETE", f"{path}/share/{key_id}")
        response = await server.call("GET", f"{path}/export?what=events&format=csv", headers={"X-Request-Id": "a b"})
        assert re.fullmatch("[0-9a-f]{16}", response.headers["x-request-id"])
        rows = '{"data": [[1704067200000, 1, 2, 1, 2, 5]]}'
        imported = await server.client.post("/api/market/import?symbol=AB&timeframe=1m", content=rows)
        assert imported.status_code == 200, imported.text
        await server.data("DELETE", path)
        await server.data("POST", "/logout")
        entries = database.query("SELECT action, user_id, subject, via, address, details FROM sim_audit ORDER BY id")
        assert [entry[:5] for entry in entries] == [
            ("login", "anna", None, "http", "192.0.2.7"),
            ("login.refused", None, None, "http", "192.0.2.7"),
            ("share.create", "anna", session["id"], "http", "127.0.0.1"),
            ("share.revoke", "anna", session["id"], "http", "127.0.0.1"),
            ("session.export", "anna", session["id"], "http", "127.0.0.1"),
            ("candles.import", "anna", "binance AB 1m", "http", "127.0.0.1"),
            ("session.delete", "anna", session["id"], "http", "127.0.0.1"),
            ("logout", "anna", None, "http", "127.0.0.1"),
        ]
        assert entries[0][5] == {"with": "token", "tokenId": str(token_id)}
        assert entries[2][5]["keyId"] == entries[3][5]["keyId"] == key_id
        [(request_ids,)] = database.query("SELECT array_agg(request_id ORDER BY id) FROM sim_audit")
        assert request_ids[0] == "abc-1"
        assert len(set(request_ids)) == len(entries)
        text = str(database.query("SELECT sim_audit::text FROM sim_audit"))
        for hidden in (secret, key.removeprefix("share="), "zeon_wrong", tokens.token_hash(secret)):
            assert hidden not in text


async def test_nothing_is_deleted_or_stored_whose_entry_in_the_audit_trail_cannot_be_written(
    database: Database,
) -> None:
    """The entry was written after the act: a crash between them left no trace of it."""
    async with running_server(database, candles=0, auth="token") as server:
        _, secret = await server.token("anna")
        server.client.headers["Authorization"] = f"Bearer {secret}"
        session = await server.create()
        with psycopg.connect(database.owner_url, autocommit=True) as owner:
            owner.execute("ALTER TABLE sim_audit ADD CHECK (action = 'login') NOT VALID")
        assert (await server.call("DELETE", f"{SESSIONS}/{session['id']}")).status_code == 500
        rows = '{"data": [[1704067200000, 1, 2, 1, 2, 5]]}'
        answer = await server.client.post("/api/market/import?symbol=AB&timeframe=1m", content=rows)
        assert answer.status_code == 500
        await server.served.sim.database.run(
            cache.store, "demo", "AB", "1m", made_up("AB", "1m", START_MS, START_MS + MINUTE)
        )
        trail = audit.recording(audit.AuditOrigin("command", "here"), "anna", "candles.delete")
        with pytest.raises(psycopg.errors.CheckViolation):
            await server.served.sim.database.run(delete_series, "demo", "AB", "1m", trail)
        await server.data("GET", f"{SESSIONS}/{session['id']}")
        assert database.query("SELECT venue, count(*) FROM market_candles GROUP BY venue") == [("demo", 1)]


def test_refused_logins_do_not_fill_the_audit_trail() -> None:
    refused = RefusedLogins()
    assert [refused.may_record(60_000 + number) for number in range(30)] == [True] * 20 + [False] * 10
    assert refused.may_record(120_000)
