"""All routes of the table, called without a token, with a wrong one, for another user's session, with too much."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, get_type_hints
from uuid import UUID, uuid4

import pytest

from app.db import candles as cached_candles
from app.engine import kept_figures
from app.engine.session_service import SessionService
from app.errors import TooManyRequestsError
from app.settings import load
from app.web import app as web_app
from app.web.http import budgets as http_budgets
from app.web.http import dispatch
from app.web.http.auth import SCOPES, Authenticator, Caller
from app.web.http.budgets import HeavyCall, RateLimiter
from app.web.http.dispatch import Dispatcher
from app.web.http.parsing import parse
from app.web.http.route_spec import RouteSpec
from app.web.market.session_schemas import NewMarketSession
from app.web.routes import route_table
from app.web.sim import stats as sim_stats
from app.web.sim.requests import NewSession
from tests.support.client import BODY, SESSIONS
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS
from tests.support.running_server import InProcessServer, running_server

MARKET = "/api/market/sessions"
MARKET_BODY = {
    "symbols": ["BTCUSDT"],
    "timeframe": "1m",
    "start": START_MS,
    "end": START_MS + 9 * MINUTE,
    "speed": 1,
    "venue": "demo",
}
OPEN = {
    "POST /login",
    "POST /logout",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /openapi.json",
    "GET /",
    "GET /compare",
    "GET /docs",
    "GET /sessions/{id:uuid}",
    "GET /static/{name:path}",
}
"""The routes that anybody may call. All others need a token; add one here only if it tells nothing of any user."""
PROBES = {"GET /healthz", "GET /readyz", "GET /metrics"}
HEAVY = {
    "GET /api/sim/compare",
    f"POST {SESSIONS}/{{id:uuid}}/fork",
    f"GET {SESSIONS}/{{id:uuid}}/diff/{{other:uuid}}",
    f"GET {SESSIONS}/{{id:uuid}}/stats",
    f"GET {SESSIONS}/{{id:uuid}}/equity",
    f"GET {SESSIONS}/{{id:uuid}}/export",
    "GET /api/market/coverage",
}
"""The routes that may read much of a log."""
STREAMS = {f"GET {SESSIONS}/{{id:uuid}}/stream", f"GET {MARKET}/{{id:uuid}}/stream"}
BODIES: dict[str, dict[str, Any]] = {
    f"POST {SESSIONS}": BODY,
    f"POST {MARKET}": MARKET_BODY,
    f"PATCH {SESSIONS}/{{id:uuid}}": {"name": "mine"},
    f"POST {SESSIONS}/{{id:uuid}}/control": {"action": "pause"},
    f"POST {SESSIONS}/{{id:uuid}}/fork": {"atSeq": 0},
    f"POST {SESSIONS}/{{id:uuid}}/orders": {"side": "buy", "type": "market"},
    "POST /login": {"token": "x"},
    "POST /api/market/import": {"data": [[START_MS, 1, 2, 1, 2, 5]]},
}
"""The smallest accepted body of each route that does not take an empty one."""
QUERIES = {
    "GET /api/sim/compare": "?ids={id},{other}",
    "GET /api/market/candles": "?symbol=BTCUSDT&timeframe=1m",
    "POST /api/market/import": "?symbol=BTCUSDT&timeframe=1m",
    f"GET {SESSIONS}/{{id:uuid}}/export": "?what=events&format=csv",
}
"""The smallest accepted query of each route that needs one, with the ids of two sessions."""
ONE_ORDER = f"GET {SESSIONS}/{{id:uuid}}/orders/{{orderId:int}}"
"""The route of something in a session that the sessions of the walk do not have."""
WITH_BODY = ("POST", "PATCH", "PUT")
MAX_BODY, MAX_OPEN_BODY = 256 * 1024, 16 * 1024
WRONG_TOKENS: dict[str, dict[str, str]] = {
    "without a token": {},
    "with a wrong token": {"Authorization": "Bearer nope"},
    "with a wrong cookie": {"Cookie": f"zeon={uuid4()}.{2**50}.{'0' * 64}"},
}


class Walk:
    """Calls every route of a table; each method yields the routes that do not answer as they must."""

    def __init__(self, server: InProcessServer, table: list[RouteSpec], own: dict[str, str]) -> None:
        self._server = server
        self._own = own
        self.table = [spec for spec in table if not spec.face]
        self.face = [spec for spec in table if spec.face]

    @property
    def closed(self) -> list[RouteSpec]:
        return [spec for spec in self.table if key(spec) not in OPEN]

    async def faults(self) -> AsyncIterator[str]:
        """Walk all routes in all ways, first in the one that notices most faults."""
        callers = (self.owners(), self.strangers(), self.scopes(), self.other_users())
        for part in (*callers, self.other_kinds(), self.unknown(), self.large(), self.budgets()):
            async for fault in part:
                yield fault

    def few(self) -> Walk:
        """Return a walk of one route for each combination of what the table declares."""
        unlike = {
            (
                spec.method,
                spec.open,
                spec.scope,
                spec.budget,
                kind(spec),
                len(parameters(spec)),
                spec.body is None,
            ): spec
            for spec in self.table
        }
        return Walk(self._server, list(unlike.values()), self._own)

    def checks(self) -> list[AsyncIterator[str]]:
        """Walk all routes as somebody who may call them."""
        return [self.other_kinds(), self.unknown(), self.owners(), self.large()]

    async def strangers(self) -> AsyncIterator[str]:
        """Call without a valid token: all closed routes answer 401."""
        sessions = await self._create("anna")
        for spec in self.closed:
            for name, headers in WRONG_TOKENS.items():
                status = await self._status(spec, sessions[kind(spec)], headers)
                if status != 401:
                    yield f"{key(spec)} {name}: {status}"

    async def scopes(self) -> AsyncIterator[str]:
        """Call with a token that may only read and with a link: 403 beyond its scope, 404 for another session."""
        sessions, others = await self._create("anna"), await self._create("anna")
        session_id = UUID(sessions["sim"]["id"])
        read = {"Authorization": f"Bearer {(await self._server.token('anna', scope='read'))[1]}"}
        link = "share=" + (await self._server.token("anna", scope="read", kind="share", session_id=session_id))[1]
        for spec in self.closed:
            ids = sessions[kind(spec)]
            query = QUERIES.get(key(spec), "?").format(**ids)
            for scope, status in (
                ("read", await self._status(spec, ids, read)),
                ("share", await self._status(spec, ids, {}, query=f"{query}&{link}")),
            ):
                refused = status == 401 or (status == 404 and key(spec) != ONE_ORDER)
                if (status == 403) == (SCOPES.index(scope) >= SCOPES.index(spec.scope)) or refused:
                    yield f"{key(spec)} with the scope {scope}: {status}"
            if spec.scope == "share":
                status = await self._status(spec, others[kind(spec)], {}, query=f"?{link}")
                if status != 404:
                    yield f"{key(spec)} with the link of another session: {status}"

    async def other_users(self) -> AsyncIterator[str]:
        """Call with another user's session in each place of the path: 404."""
        own, others = await self._create("anna"), await self._create("berta")
        for spec in self.closed:
            for name in parameters(spec):
                ids = {**own[kind(spec)], name: others[kind(spec)][name]}
                status = await self._status(spec, ids, self._own)
                if status != 404:
                    yield f"{key(spec)} with another user's {name}: {status}"

    async def budgets(self) -> AsyncIterator[str]:
        """Call with each budget used up: those that count for it answer 429, all others do not."""
        budgets, streams, empty = self._server.served.budgets, self._server.served.streams, RateLimiter(0.001, 0)
        budgets._known.clear()
        closed, login = {key(spec) for spec in self.table} - OPEN, {"POST /login", "POST /logout"}
        used_up: list[tuple[Any, str, Any, set[str], dict[str, str]]] = [
            (budgets, "users", empty, closed, self._own),
            (budgets, "addresses", empty, OPEN - PROBES, self._own),
            (budgets, "strangers", empty, set(), self._own),
            (budgets, "strangers", empty, closed | login, {}),
            (streams, "_user_limit", 0, STREAMS, self._own),
            (budgets.heavy, "turn", no_turn, HEAVY, self._own),
        ]
        for place, name, nothing, refused, headers in used_up:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(place, name, nothing)
                for module in (sim_stats, kept_figures):
                    patch.setattr(module, "FEW_EVENTS", -1)
                patch.setattr(cached_candles, "FEW_SLOTS", -1)
                faults = await self._refused(name, refused, headers)
            for fault in faults:
                yield fault

    async def _refused(self, budget: str, refused: set[str], headers: dict[str, str]) -> list[str]:
        sessions, faults = await self._create("anna"), []
        for spec in sorted(self.table, key=lambda spec: spec.method == "DELETE"):
            status = await self._status(spec, sessions[kind(spec)], headers)
            if (status == 429) != (key(spec) in refused):
                faults.append(f"{key(spec)} with no {budget} left: {status}")
        return faults

    async def other_kinds(self) -> AsyncIterator[str]:
        """Call the market dialect's routes for a sim session: 404."""
        sessions = await self._create("anna")
        for spec in self.closed:
            if parameters(spec) and kind(spec) == "market":
                status = await self._status(spec, sessions["sim"], self._own)
                if status != 404:
                    yield f"{key(spec)} with a sim session: {status}"

    async def large(self) -> AsyncIterator[str]:
        """Send a body over the limit: 413."""
        sessions = await self._create("anna")
        for spec in self.table:
            if spec.method in WITH_BODY:
                limit = MAX_OPEN_BODY if key(spec) in OPEN else MAX_BODY
                status = await self._status(spec, sessions[kind(spec)], self._own, {"name": "x" * limit})
                if status != 413:
                    yield f"{key(spec)} with more than {limit} bytes: {status}"

    async def unknown(self) -> AsyncIterator[str]:
        """Send an unknown field or parameter: 400."""
        sessions = await self._create("anna")
        for spec in self.table:
            ids = sessions[kind(spec)]
            if spec.method in WITH_BODY and (status := await self._status(spec, ids, self._own, {"new": 1})) != 400:
                yield f"{key(spec)} with an unknown field: {status}"
            if spec.query and (status := await self._status(spec, ids, self._own, query="?new=1")) != 400:
                yield f"{key(spec)} with an unknown parameter: {status}"

    async def owners(self) -> AsyncIterator[str]:
        """Call as it should be: nothing is refused, except for the session's status."""
        for spec in self.table:
            sessions = await self._create("anna", kind(spec))
            status = await self._status(spec, sessions[kind(spec)], self._own)
            if status not in (200, 201, 204, 409) and (key(spec), status) not in (
                ("POST /login", 401),
                (ONE_ORDER, 404),
            ):
                yield f"{key(spec)} by the owner: {status}"

    async def _create(self, user_id: str, *kinds: str) -> dict[str, dict[str, str]]:
        """Create two sessions of each kind without HTTP: a broken route must not keep the walk from the others."""
        bodies = {"sim": parse(NewSession, BODY), "market": parse(NewMarketSession, MARKET_BODY)}
        ids: dict[str, dict[str, str]] = {}
        for name in kinds or bodies:
            spec = bodies[name].spec(load())
            a, b = [(await self._server.served.sim.create(user_id, spec))[0] for _ in range(2)]
            key, _ = await self._server.token(user_id, scope="read", kind="share", session_id=a.id)
            bot_key, _ = await self._server.token(user_id, kind="bot", session_id=a.id)
            ids[name] = {"id": str(a.id), "other": str(b.id), "key": str(key), "bot_key": str(bot_key)}
        return ids

    async def _status(
        self,
        spec: RouteSpec,
        ids: dict[str, str],
        headers: dict[str, str],
        body: dict[str, Any] | None = None,
        query: str | None = None,
    ) -> int:
        path = re.sub(r"{(\w+):uuid}", lambda match: ids[match[1]], spec.path)
        path = path.replace("{orderId:int}", "1").replace("{keyId}", ids["bot_key" if "bot-key" in path else "key"])
        path = path.replace("{name:path}", "style/base.css")
        path += QUERIES.get(key(spec), "").format(**ids) if query is None else query
        body = BODIES.get(key(spec)) if body is None else body
        async with self._server.client.stream(spec.method, path, json=body, headers=headers) as response:
            if response.status_code == 429:
                assert int(response.headers["retry-after"]) >= 1
            return response.status_code


async def no_turn(user_id: str) -> HeavyCall:
    raise TooManyRequestsError(code="too_many_heavy_calls")


def key(spec: RouteSpec) -> str:
    return f"{spec.method} {spec.path}"


def kind(spec: RouteSpec) -> str:
    return "market" if spec.path.startswith(MARKET) else "sim"


def parameters(spec: RouteSpec) -> list[str]:
    return re.findall(r"{(\w+):uuid}", spec.path)


@asynccontextmanager
async def walk(
    database: Database, monkeypatch: pytest.MonkeyPatch, change: Callable[[RouteSpec], RouteSpec] = lambda spec: spec
) -> AsyncIterator[Walk]:
    """Serve the table of routes, with a change to each of them, to a user with a token."""
    table: list[RouteSpec] = []

    def changed_table(*arguments: Any, **options: Any) -> list[RouteSpec]:
        table.extend(change(spec) for spec in route_table(*arguments, **options))
        return table

    monkeypatch.setattr(web_app, "route_table", changed_table)
    monkeypatch.setattr(http_budgets, "STRANGER_RATE", 100_000)
    async with running_server(database, auth="token", max_import=MAX_BODY) as server:
        yield Walk(server, table, {"Authorization": f"Bearer {(await server.token('anna'))[1]}"})


async def test_every_route_refuses_strangers_other_users_and_wrong_input(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with walk(database, monkeypatch) as all_routes:
        assert [fault async for fault in all_routes.faults()] == []
        assert {key(spec) for spec in all_routes.table} >= OPEN
        assert len(all_routes.closed) > 20


async def test_a_route_that_the_table_opens_is_noticed(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async with walk(database, monkeypatch, lambda spec: spec._replace(open=True)) as all_routes:
        faults = [fault async for fault in all_routes.strangers()]
        for spec in all_routes.closed:
            for name in WRONG_TOKENS:
                assert any(fault.startswith(f"{key(spec)} {name}") for fault in faults)


async def test_a_route_that_loses_its_budget_is_noticed(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async with walk(database, monkeypatch, lambda spec: spec._replace(budget="normal")) as all_routes:
        faults = [fault async for fault in all_routes.budgets()]
        for line in HEAVY | STREAMS:
            assert any(fault.startswith(f"{line} ") for fault in faults), line


@pytest.mark.parametrize("field", ["kind", "body_limit", "query", "body"])
async def test_each_line_of_the_table_that_loses_a_check_is_noticed(
    database: Database, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    declared: list[str] = []

    def change(spec: RouteSpec) -> RouteSpec:
        if getattr(spec, field) is not None and (field != "kind" or parameters(spec)):
            declared.append(key(spec))
        return spec._replace(**{field: None})

    async with walk(database, monkeypatch, change) as all_routes:
        faults = [fault for part in all_routes.checks() async for fault in part]
    assert declared
    assert [line for line in declared if not any(fault.startswith(f"{line} ") for fault in faults)] == []


def without_one_statement(function: Callable[..., Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield a function without each of its statements in turn, and which one that is."""
    source = textwrap.dedent(inspect.getsource(function))
    for number, statement in enumerate(statements(ast.parse(source))):
        tree = ast.parse(source)
        removed = statements(tree)[number]
        for node in ast.walk(tree):
            for field in ("body", "orelse"):
                block = getattr(node, field, None)
                if isinstance(block, list) and removed in block:
                    block[block.index(removed)] = ast.copy_location(ast.Pass(), removed)
        names: dict[str, Any] = {}
        exec(compile(ast.fix_missing_locations(tree), "<mutant>", "exec"), vars(dispatch), names)
        yield ast.unparse(statement), names[function.__name__]


def statements(tree: ast.Module) -> list[ast.stmt]:
    """All statements inside a module's function, without its docstring."""
    function = tree.body[0]
    return [
        node for node in ast.walk(function) if isinstance(node, ast.stmt) and node is not function and not is_text(node)
    ]


def is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


async def test_a_dispatcher_without_any_one_of_its_statements_is_noticed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few routes notice nearly all of them, in less time than all routes take."""
    checked = []
    async with walk(database, monkeypatch) as all_routes:
        few_routes = all_routes.few()
        for name in ("respond", "_sessions"):
            for statement, mutant in without_one_statement(getattr(Dispatcher, name)):
                with monkeypatch.context() as patch:
                    patch.setattr(Dispatcher, name, mutant)
                    noticed = [fault async for fault in first(few_routes.faults())]
                    assert noticed or [fault async for fault in first(all_routes.faults())], statement
                checked.append(statement)
    assert any("self._caller" in statement for statement in checked)
    assert any("NotFoundError" in statement for statement in checked)


async def first(faults: AsyncIterator[str]) -> AsyncIterator[str]:
    async for fault in faults:
        yield fault
        return


async def test_an_authenticator_that_lets_everybody_in_is_noticed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def anybody(*_: Any) -> Caller:
        return Caller("anna")

    async with walk(database, monkeypatch) as all_routes:
        monkeypatch.setattr(Authenticator, "caller", anybody)
        faults = [fault async for fault in all_routes.strangers()]
        assert len(faults) == len(WRONG_TOKENS) * len(all_routes.closed)


async def test_sessions_that_are_found_for_any_user_are_noticed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = SessionService.get

    async def get_any(sim: SessionService, user_id: str, session_id: Any) -> Any:
        try:
            return await get(sim, "anna", session_id)
        except Exception:
            return await get(sim, "berta", session_id)

    async with walk(database, monkeypatch) as all_routes:
        monkeypatch.setattr(SessionService, "get", get_any)
        faults = [fault async for fault in all_routes.other_users()]
        assert any("another user's id" in fault for fault in faults)


async def test_handlers_take_the_models_that_their_routes_declare(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with walk(database, monkeypatch) as all_routes:
        for spec in all_routes.table:
            hints = get_type_hints(spec.handler)
            assert (hints.get("query"), hints.get("body")) == (spec.query, spec.body), key(spec)
