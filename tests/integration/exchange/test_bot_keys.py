"""Bot keys over HTTP and on the command line: what they are, when they end, and the addresses that hold them."""

from __future__ import annotations

import json
import re
from uuid import uuid4

import pytest

import zeon
from app.db import tokens
from app.web.exchange.addresses import addresses
from tests.support.cli import Cli
from tests.support.client import SESSIONS
from tests.support.postgres import Database
from tests.support.running_server import running_server

KEY = r"zeon_bot_[\w-]{22}"
CREATE = ("--profile", "manual", "--venue", "demo", "--symbol", "AB", "--timeframe", "1m", "--start", "2024-01-01")


async def test_a_bot_key_is_shown_once_with_all_addresses_and_can_be_revoked(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with running_server(database, candles=0, auth="token") as server:
        server.client.headers["Authorization"] = f"Bearer {(await server.token('anna'))[1]}"
        path = f"{SESSIONS}/{(await server.create())['id']}/bot-key"
        made = await server.data("POST", path, {"expiresIn": 3600, "name": "grid"}, status=201)
        assert re.fullmatch(KEY, made["key"])
        assert made["addresses"] == addresses(server.served.url, made["key"])
        assert made["addresses"]["rest"] == f"{server.served.url}/x/binance/{made['key']}/api/v3"
        [listed] = (await server.data("GET", path))["keys"]
        assert (listed["keyId"], listed["name"]) == (made["keyId"], "grid")
        assert 0 <= made["expiresAtMs"] - listed["createdAtMs"] - 3_600_000 + 1000 < 2000
        [(hashed, scope)] = database.query("SELECT token_hash, scope FROM sim_tokens WHERE kind = 'bot'")
        assert (hashed, scope) == (tokens.token_hash(made["key"]), "trade")
        await server.refused(401, "GET", path, headers={"Authorization": f"Bearer {made['key']}"})
        await server.refused(401, "GET", f"{path}?share={made['key']}")
        for wrong in (uuid4(), "x"):
            await server.refused(404, "DELETE", f"{path}/{wrong}")
        await server.data("DELETE", f"{path}/{made['keyId']}")
        await server.refused(404, "DELETE", f"{path}/{made['keyId']}")
        assert (await server.data("GET", path)) == {"keys": []}
        assert [row[0] for row in database.query("SELECT action FROM sim_audit ORDER BY id")] == [
            "bot-key.create", "bot-key.revoke",
        ]  # fmt: skip
        ours = [record for record in caplog.records if record.name.startswith(("app", "uvicorn", "asyncio"))]
        assert made["key"] not in "".join(record.getMessage() for record in ours)


async def test_a_session_has_at_most_a_hundred_bot_keys_and_takes_them_with_it(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        session = await server.create()
        path = f"{SESSIONS}/{session['id']}"
        database.query(
            "INSERT INTO sim_tokens (user_id, token_hash, kind, session_id, expires_at)"
            " SELECT 'local', i::text, 'bot', %s, now() + interval '1 day' FROM generate_series(1, 99) i RETURNING 1",
            session["id"],
        )
        await server.data("POST", f"{path}/bot-key", status=201)
        await server.refused(409, "POST", f"{path}/bot-key")
        await server.data("DELETE", path)
        assert database.query("SELECT count(*) FROM sim_tokens") == [(0,)]


def test_the_command_prints_the_addresses_of_a_session(database: Database) -> None:
    command = Cli(database, PORT="8123")
    session = command.json("sessions", "create", *CREATE)["id"]
    made = json.loads(command("bot-key", "create", session, "--name", "grid"))
    assert made["addresses"] == addresses("http://127.0.0.1:8123", made["key"])
    settings = json.loads(command("bot-key", "create", session, "--client", "ccxt", "--server", "https://sim.example/"))
    key = re.search(KEY, settings["urls"]["api"]["public"])
    assert key is not None
    assert settings == zeon.ccxt_config("https://sim.example", key[0])
    assert settings["urls"]["api"]["ws"]["spot"] == f"wss://sim.example/x/binance/{key[0]}/stream/ws"
    listed = command.json("bot-key", "list", session)
    assert [key["name"] for key in listed] == ["grid", None]
    command("bot-key", "revoke", session, made["keyId"])
    assert made["keyId"] not in command("bot-key", "list", session)
    command("token", "revoke", listed[1]["keyId"])
    assert [entry["action"] for entry in command.json("audit")][:2] == ["bot-key.revoke"] * 2
