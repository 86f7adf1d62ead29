"""Commands to a server that is killed between a command and its tick; an acceptance test and a chaos run share it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import httpx2

from tests.support.cli import Cli
from tests.support.client import SESSIONS, Client, call, connect, run_unpaced
from tests.support.postgres import Database, open_pool
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.server_process import QUICK, StartServer, until
from tests.support.session_log import digest, read_log, row

STRATEGY = {"ZEON_STRATEGIES": "tests.support.resting_strategy:Resting", "ZEON_CANDLE_TIMEOUT_MS": 20_000}
PROFILES = ("manual", "resting")
"""Who else trades: nobody, and a strategy that runs in a child process."""
PAUSE_MS = 20
CANDLES_PER_KILL = 150


async def killed_between_command_and_tick(database: Database, start_server: StartServer, times: int, seed: int) -> None:
    """Kill a server by SIGKILL within milliseconds of a command, `times` times; the logs are as without it.

    An order that was answered is in the log once, one that was not is there at most once, one from psql is always
    there. The log equals that of an undisturbed session fed the same commands, and those of forks before and behind
    a command.
    """
    draw = random.Random(seed)
    count = CANDLES_PER_KILL * (times + 1)
    async with open_pool(database) as side:
        await store(side, count=count)
    server = start_server(database, **QUICK, **STRATEGY)
    request = {"endMs": START_MS + count * MINUTE, "leverage": None}
    async with connect(server) as client:
        ids = [
            (await client.create(**request, profileSlug=profile, replayMsPerCandle=PAUSE_MS))["id"]
            for profile in PROFILES
        ]
        answered, sent = set[str](), set[str]()
        for number in range(times):
            calls = [asyncio.ensure_future(_send(database, client, draw, id_, f"{number}-{id_}")) for id_ in ids]
            await asyncio.sleep(draw.random() * 0.03)
            server.kill()
            for names in await asyncio.gather(*calls):
                sent |= names[0]
                answered |= names[1]
            await asyncio.to_thread(server.start)
            await until(lambda: "running" not in {row(database, id_, "status") for id_ in ids})
            for id_ in ids:
                if draw.random() < 0.8:
                    await call(client, id_, "resume")
                    goal = row(database, id_, "last_seq") + draw.randrange(1, 30)
                    await until(lambda id_=id_, goal=goal: row(database, id_, "last_seq") >= goal)
        for id_ in ids:
            await _finish(client, id_)
        for id_ in ids:
            names = [args["clientOrderId"] for _, action, args in commands_of(database, id_) if action == "order"]
            assert len(names) == len(set(names))
            assert {name for name in answered if name.endswith(id_)} <= set(names) <= sent
            await _equal_to_an_undisturbed_run(database, client, id_, request, draw)
    for id_ in ids:
        await asyncio.to_thread(Cli(database, **STRATEGY), "verify", id_)


def commands_of(database: Database, session_id: str) -> list[tuple[int | None, str, dict[str, Any]]]:
    """Return cursor, action and arguments of each command in a log; their numbers have no holes."""
    controls = [event["payload"] for event in read_log(database, session_id) if event["type"] == "control"]
    commands = [payload for payload in controls if "command" in payload]
    assert [payload["command"] for payload in commands] == list(range(1, len(commands) + 1))
    return [(payload["cursorMs"], payload["action"], payload["args"]) for payload in commands]


async def _send(
    database: Database, client: Client, draw: random.Random, session_id: str, name: str
) -> tuple[set[str], set[str]]:
    """Send some commands over HTTP and one in psql; return the names of all orders, and of those that must be there."""
    kinds = (
        {"type": "market", "fill": draw.choice(("same_close", "next_open"))},
        {"type": "limit", "limitPrice": draw.choice((1, 60_000)), "goodForCandles": draw.randrange(1, 30)},
        {"type": "trailingStop", "trail": draw.randrange(1, 50)},
    )
    names, must = {f"psql-{name}"}, {f"psql-{name}"}
    order = {"side": draw.choice(("buy", "sell")), "qty": 0.01, **draw.choice(kinds)}
    body = {**order, "clientOrderId": f"http-{name}"}
    others = [("DELETE", "orders", None), ("POST", "close", {"fill": "same_close"})]
    calls = [("POST", "orders", body), *draw.sample(others, draw.randrange(2))]
    draw.shuffle(calls)
    in_psql = {**order, "clientOrderId": f"psql-{name}"}
    await asyncio.to_thread(database.query, "SELECT sim_order(%s, %s::jsonb)", session_id, json.dumps(in_psql))
    names.add(f"http-{name}")
    for method, path, content in calls:
        with suppress(httpx2.TransportError):
            response = await client.call(method, f"{SESSIONS}/{session_id}/{path}", content)
            assert response.status_code < 500, response.text
            if content is body and response.status_code == 201:
                must.add(f"http-{name}")
    return names, must


async def _equal_to_an_undisturbed_run(
    database: Database, client: Client, session_id: str, request: dict[str, Any], draw: random.Random
) -> None:
    """Require that a session fed the same commands, and forks at a command, have the same digest."""
    expected, commands = digest(database, session_id), commands_of(database, session_id)
    session = await client.data("GET", f"{SESSIONS}/{session_id}")
    twin = (await client.create(**request, profileSlug=session["profileSlug"]))["id"]
    await _feed(database, client, twin, commands)
    assert digest(database, twin) == expected
    at = draw.choice([e["seq"] for e in read_log(database, session_id) if "command" in e["payload"]])
    for at_seq in (at - 1, at):
        fork = await client.data("POST", f"{SESSIONS}/{session_id}/fork", {"atSeq": at_seq}, status=201)
        done = row(database, fork["id"], "commands")
        await _feed(database, client, fork["id"], commands[done:])
        assert digest(database, fork["id"]) == expected


async def _feed(
    database: Database, client: Client, session_id: str, commands: Sequence[tuple[int | None, str, dict[str, Any]]]
) -> None:
    """Step a session to the place of each command, send it, and run to the end."""
    path = f"{SESSIONS}/{session_id}"
    for cursor_ms, action, args in commands:
        cursor = row(database, session_id, "cursor_ms")
        ahead = 0 if cursor_ms is None else (cursor_ms - (START_MS - MINUTE if cursor is None else cursor)) // MINUTE
        if ahead:
            await client.data("POST", f"{path}/control", {"action": "step", "candles": ahead, "wait": True})
        if action == "cancel":
            await client.data("DELETE", f"{path}/orders")
        else:
            name, status = ("orders", 201) if action == "order" else ("close", 200)
            await client.data("POST", f"{path}/{name}", args, status=status)
    await _finish(client, session_id)


async def _finish(client: Client, session_id: str) -> None:
    if (await client.data("GET", f"{SESSIONS}/{session_id}"))["status"] in ("created", "paused"):
        await call(client, session_id, "resume")
    await run_unpaced(client, session_id)
    await client.until(f"{SESSIONS}/{session_id}", "finished", timeout_s=60)
