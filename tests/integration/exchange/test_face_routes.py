"""Every call and WebSocket of the exchange face, with a right key and with wrong ones."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from app.web import app as every_group
from app.web.http.budgets import RateLimiter
from app.web.http.route_spec import RouteGroup, RouteSpec
from tests.support.client import SESSIONS
from tests.support.network.bot import bot
from tests.support.postgres import Database
from tests.support.running_server import InProcessServer, running_server

assert every_group, "imported, so that all groups are defined"


def face_routes() -> list[RouteSpec]:
    groups: list[Any] = RouteGroup.__subclasses__()
    return [route for group in groups for route in group.routes(group) if route.face]


async def code_of(server: InProcessServer, spec: RouteSpec, key: str) -> tuple[int, int | None]:
    """Return status and code of the answer to a route, 101 for a WebSocket that opens."""
    path = spec.path.replace("{botKey}", key).replace("{names:path}", "btcusdt@trade")
    if spec.method == "WS":
        try:
            async with connect(f"ws{server.served.url.removeprefix('http')}{path}", proxy=None):
                return 101, None
        except InvalidStatus as error:
            return error.response.status_code, json.loads(error.response.body)["code"]
    response = await server.client.request(spec.method, path)
    answer = response.json()
    return response.status_code, answer.get("code") if isinstance(answer, dict) else None


async def test_every_call_needs_the_key_of_a_session_and_counts_for_its_user(database: Database) -> None:
    routes = face_routes()
    assert {spec.method for spec in routes} == {"GET", "POST", "PUT", "DELETE", "WS"}
    assert all(re.match(r"/x/binance/\{botKey\}/", spec.path) for spec in routes)
    assert {spec.budget == "stream" for spec in routes if spec.method == "WS"} == {True}
    async with running_server(database, auth="token") as server:
        server.client.headers["Authorization"] = f"Bearer {(await server.token('anna'))[1]}"
        trader = await bot(server)
        key = (await server.data("POST", f"{SESSIONS}/{trader.session_id}/bot-key", status=201))["key"]
        share = (await server.token("anna", kind="share", scope="read", session_id=uuid4()))[1]
        budgets, streams = server.served.budgets, server.served.streams
        budgets.strangers = RateLimiter(10_000, 10_000)
        for spec in routes:
            for wrong in (trader.session_id, share, "zeon_bot_wrong"):
                assert await code_of(server, spec, wrong) == (401, -2015), (spec.path, wrong)
            status, code = await code_of(server, spec, key)
            assert status in (101, 200) or (status, code) == (400, -1102), (spec.path, status, code)
        server.served.budgets.users = RateLimiter(0.001, 0)
        for spec in routes:
            assert await code_of(server, spec, key) == (429, -1003), spec.path
        server.served.budgets.users = RateLimiter(10_000, 10_000)
        streams._user_limit = 0
        for spec in routes:
            assert (await code_of(server, spec, key) == (429, -1003)) == (spec.method == "WS"), spec.path
