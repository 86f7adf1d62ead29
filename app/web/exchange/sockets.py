"""WebSockets of the exchange face: market streams, the stream of account and orders, and the WebSocket API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import localcontext
from functools import partial
from typing import Any, Final, cast

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.domain.session import Session
from app.engine.session_service import SessionService
from app.engine.streaming.hub import Hub
from app.errors import LogShorterError, SimError, TooManyRequestsError, UnauthorizedError, UnavailableError
from app.settings import Settings
from app.web.exchange.call import FACE_PATH, Access, face_route
from app.web.exchange.candles import now_ms
from app.web.exchange.errors import ExchangeError, of_error, unsupported
from app.web.exchange.followed import TYPES, Followed, News
from app.web.exchange.instruments import Instrument
from app.web.exchange.market import MarketData
from app.web.exchange.market_events import MarketEvents
from app.web.exchange.numbers import WIDE
from app.web.exchange.orders import LISTEN_KEY, SpotOrders
from app.web.exchange.socket_api import SocketApi
from app.web.exchange.stream_names import Stream, read_stream
from app.web.exchange.user_events import UserEvents
from app.web.http.auth import Caller
from app.web.http.event_stream import Streams
from app.web.http.refusals import Refusals, count_refusal
from app.web.http.route_spec import RouteGroup, RouteSpec
from app.web.http.validity import may_continue

REPEAT_S: Final = 2.0
"""Pause after which the present state is sent again, so that clients do not take a paused session for a dead one."""
LIFE_S: Final = 24 * 3600.0
"""How long a connection lasts, as at the exchange."""
_MOST_STREAMS: Final = 1024
_RETRY_S: Final = 0.5
_LAST_WORDS_S: Final = 0.4
_GOING_AWAY, _POLICY, _RESTART = 1001, 1008, 1012
Opener = Callable[[WebSocket, Caller, Session], Awaitable["_Connection"]]
"""Checks what an address names, and returns the connection before it is accepted."""


@dataclass(frozen=True, slots=True)
class SocketServices:
    """What all connections use."""

    sim: SessionService
    hub: Hub
    access: Access
    market: MarketData
    orders: SpotOrders
    streams: Streams
    settings: Settings
    refusals: Refusals


class FaceSockets(RouteGroup):
    """Opens the WebSockets under `/x/binance/{botKey}`."""

    def __init__(self, services: SocketServices) -> None:
        self._services = services

    def routes(self) -> list[RouteSpec]:
        """Return the routes of the WebSockets. ccxt.pro needs the streams below `/stream` too."""
        openers: dict[str, Opener] = {
            "ws": self._plain,
            "ws/{names:path}": self._plain,
            "stream": self._combined,
            "stream/ws": self._plain,
            "stream/ws/{names:path}": self._plain,
            "ws-api/v3": self._api,
        }
        return [face_route("WS", path, opener)._replace(budget="stream") for path, opener in openers.items()]

    def starlette_routes(self) -> list[BaseRoute]:
        """Return the routes for the router: those of the table, and one that refuses all others."""
        openers = [(spec.path, cast("Opener", spec.handler)) for spec in self.routes()]
        openers.append((f"{FACE_PATH}/{{path:path}}", self._unknown))
        return [WebSocketRoute(path, partial(self._endpoint, opener)) for path, opener in openers]

    async def _endpoint(self, opener: Opener, websocket: WebSocket) -> None:
        services = self._services
        try:
            caller, session = await services.access.session(websocket)
            services.streams.require_capacity(caller.budget_holder)
            connection = await opener(websocket, caller, session)
        except ExchangeError as error:
            await websocket.send_denial_response(error.response())
            return
        except SimError as error:
            count_refusal(services.refusals, error)
            await websocket.send_denial_response(of_error(error).response())
            return
        await websocket.accept()
        with localcontext(WIDE):
            await connection.run()

    async def _plain(self, websocket: WebSocket, caller: Caller, session: Session) -> _Connection:
        # ccxt.pro adds the number of its connection to the address.
        names = [name for name in websocket.path_params.get("names", "").split("/") if name and not name.isdecimal()]
        return await self._streams(websocket, caller, session, names, combined=False)

    async def _combined(self, websocket: WebSocket, caller: Caller, session: Session) -> _Connection:
        names = [name for name in websocket.query_params.get("streams", "").split("/") if name]
        return await self._streams(websocket, caller, session, names, combined=True)

    async def _streams(
        self, websocket: WebSocket, caller: Caller, session: Session, names: Sequence[str], *, combined: bool
    ) -> _Connection:
        services = self._services
        instruments = await services.market.instruments.of(session)
        return _StreamConnection(websocket, services, caller, session, instruments, names, combined=combined)

    async def _api(self, websocket: WebSocket, caller: Caller, session: Session) -> _Connection:
        return _ApiConnection(websocket, self._services, caller, session)

    async def _unknown(self, websocket: WebSocket, caller: Caller, session: Session) -> _Connection:
        raise unsupported("WebSocket at this address")


class _Connection:
    """One open WebSocket: a task that sends what happens, and a task that answers what the client sends."""

    def __init__(self, websocket: WebSocket, services: SocketServices, caller: Caller, session: Session) -> None:
        self.websocket = websocket
        self.services = services
        self.caller = caller
        self.session = session
        self.repeat_s = REPEAT_S

    async def run(self) -> None:
        """Serve the connection until the client leaves, its key ends, or the server stops."""
        sender = asyncio.create_task(self._follow())
        reader = asyncio.create_task(self._read())
        self.services.streams.add(sender, self.caller.budget_holder)
        try:
            async with asyncio.timeout(LIFE_S):
                await asyncio.wait((sender, reader), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            pass
        finally:
            stopping = sender.cancelled() or self.services.streams.closing
            for task in (sender, reader):
                task.cancel()
            results = await asyncio.gather(sender, reader, return_exceptions=True)
        code = next((result.code for result in results if isinstance(result, _OverError)), _GOING_AWAY)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, _OverError | WebSocketDisconnect):
                raise result
        if not any(isinstance(result, WebSocketDisconnect) for result in results):
            await self._end(code, stopping=stopping)

    async def _end(self, code: int, *, stopping: bool) -> None:
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                if stopping:
                    await self.send(self.wrapped("!serverShutdown", {"e": "serverShutdown", "E": now_ms(self.shown)}))
                await self.websocket.close(code)
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            self.websocket.scope["state"]["abort"]()

    @property
    def shown(self) -> Session:
        """The session as the client was shown it last."""
        return self.session

    def wrapped(self, name: str, data: Any) -> Any:
        """Return a message as this connection sends it."""
        return data

    async def send(self, message: Any) -> None:
        """Send a message; it waits until the client takes it."""
        body = json.dumps(message, separators=(",", ":"))
        await self.websocket.send_text(body)
        self.services.streams.sent_bytes += len(body)

    async def opened(self) -> None:
        """Prepare what is sent."""

    async def news(self, followed: Followed, news: News) -> None:
        """Send what is new."""
        raise NotImplementedError

    async def repeat(self) -> None:
        """Send the present state again."""

    async def answer(self, request: Any) -> None:
        """Answer a request of the client."""
        raise NotImplementedError

    async def refuse(self, error: ExchangeError) -> None:
        """Answer what is no request."""
        raise NotImplementedError

    async def _follow(self) -> None:
        services, session = self.services, self.session
        loop = asyncio.get_running_loop()
        heartbeat_s = services.settings.heartbeat_ms / 1000
        check_at = loop.time() + heartbeat_s
        with services.hub.tail(session.id, session.last_seq, TYPES) as tail:
            followed = Followed(session, tail, services.sim.database, self.refreshed)
            await self.opened()
            repeat_at = loop.time() + self.repeat_s
            while True:
                news = await self._next(followed, min(check_at, repeat_at) - loop.time())
                if news is not None and news.gone:
                    raise _OverError(_POLICY)
                if news is not None:
                    await self.news(followed, news)
                    repeat_at = loop.time() + self.repeat_s if news.candles else repeat_at
                if loop.time() >= repeat_at:
                    await self.repeat()
                    repeat_at = loop.time() + self.repeat_s
                if loop.time() >= check_at:
                    if not await may_continue(self._is_still_valid, heartbeat_s / 2):
                        raise _OverError(_POLICY)
                    check_at = loop.time() + heartbeat_s

    async def _next(self, followed: Followed, timeout_s: float) -> News | None:
        try:
            return await followed.next(max(timeout_s, 0.001))
        except UnavailableError:
            await asyncio.sleep(_RETRY_S)
            return None
        except LogShorterError:
            raise _OverError(_RESTART) from None
        except UnauthorizedError:
            raise _OverError(_POLICY) from None

    async def _is_still_valid(self) -> bool:
        return await self.services.access.is_still_valid(self.caller)

    async def refreshed(self) -> Session:
        """Return the session as it is now."""
        self.session = await self.services.access.refreshed(self.session, self.caller)
        return self.session

    async def _read(self) -> None:
        while True:
            message = await self.websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"])
            try:
                self.services.access.count(self.caller)
            except TooManyRequestsError as error:
                count_refusal(self.services.refusals, error)
                await self.refuse(of_error(error))
                raise _OverError(_POLICY) from None
            try:
                request = _request(message)
            except (ValueError, RecursionError):
                await self.refuse(ExchangeError(-1135, "Invalid JSON Request"))
                continue
            await self.answer(request)


class _StreamConnection(_Connection):
    """Market streams, and the stream of the account under its listen key."""

    def __init__(
        self,
        websocket: WebSocket,
        services: SocketServices,
        caller: Caller,
        session: Session,
        instruments: Mapping[str, Instrument],
        names: Sequence[str],
        *,
        combined: bool,
    ) -> None:
        super().__init__(websocket, services, caller, session)
        self._symbols = {symbol.lower(): symbol for symbol in instruments}
        self._market = MarketEvents(session, instruments, services.sim.database)
        self._user = UserEvents(services.sim, instruments)
        self._combined = combined
        self._streams: dict[str, Stream] = {}
        self._follows_user = False
        self._first = names
        self._busy = asyncio.Lock()

    @property
    def shown(self) -> Session:
        return self._market.session

    def wrapped(self, name: str, data: Any) -> Any:
        return {"stream": name, "data": data} if self._combined else data

    async def opened(self) -> None:
        # The exchange ignores names that it does not know; a client that asks later is told.
        await self._subscribe([name for name in self._first if self._is_known(name)])

    async def news(self, followed: Followed, news: News) -> None:
        async with self._busy:  # A new stream must not miss a candle between its first state and its first message.
            await self._send_news(news)

    async def _send_news(self, news: News) -> None:
        streams = list(self._streams.values())
        for candle in news.candles:
            for stream, data in self._market.closed(candle, streams):
                await self.send(self.wrapped(stream.name, data))
        if news.candles:
            for stream, data in await self._market.summaries(streams):
                await self.send(self.wrapped(stream.name, data))
        if news.orders and self._follows_user:
            for report in await user_messages(self.services, self.caller, self._user, self._market.session, news):
                await self.send(self.wrapped(LISTEN_KEY, report))

    async def repeat(self) -> None:
        async with self._busy:
            await self._send_present(self._streams.values())

    async def refuse(self, error: ExchangeError) -> None:
        await self._refuse(None, error.msg)

    async def answer(self, request: Any) -> None:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            await self._refuse(None, "Invalid request: an object with method, params and id is needed")
            return
        number, params = request.get("id"), request.get("params", [])
        if not (number is None or isinstance(number, int | str)) or not isinstance(params, list):
            await self._refuse(None, "Invalid request: id must be a number or a text, and params a list")
            return
        result: Any = None
        match request["method"]:
            case "SUBSCRIBE" | "UNSUBSCRIBE" as method:
                wrong = [name for name in params if not (isinstance(name, str) and self._is_known(name))]
                if wrong:
                    await self._refuse(number, f"Invalid request: unknown stream {str(wrong[0])[:60]!r}")
                    return
                if method == "SUBSCRIBE" and len({*self._streams, *params}) > _MOST_STREAMS:
                    await self._refuse(number, f"Invalid request: at most {_MOST_STREAMS} streams")
                    return
                await self._answer_subscription(number, method, params)
                return
            case "LIST_SUBSCRIPTIONS":
                result = [*self._streams, *([LISTEN_KEY] if self._follows_user else [])]
            case "SET_PROPERTY" if len(params) == 2 and params[0] == "combined" and isinstance(params[1], bool):
                self._combined = params[1]
            case "GET_PROPERTY" if params == ["combined"]:
                result = self._combined
            case _:
                await self._refuse(number, "Invalid request: unknown method or parameters")
                return
        await self.send({"result": result, "id": number})

    async def _answer_subscription(self, number: Any, method: str, names: list[str]) -> None:
        if method == "UNSUBSCRIBE":
            for name in names:
                self._streams.pop(name, None)
                self._follows_user = self._follows_user and name != LISTEN_KEY
            await self.send({"result": None, "id": number})
            return
        await self.send({"result": None, "id": number})
        await self._subscribe(names)

    async def _subscribe(self, names: Sequence[str]) -> None:
        """Follow streams, and send their present state at once."""
        new = [read_stream(name, self.session, self._symbols) for name in names if name not in self._streams]
        found = [stream for stream in new if stream is not None]
        async with self._busy:
            await self._market.subscribed(found)
            self._streams |= {stream.name: stream for stream in found}
            self._follows_user = self._follows_user or LISTEN_KEY in names
            await self._send_present(found)

    async def _send_present(self, streams: Iterable[Stream]) -> None:
        for stream, data in await self._market.present(streams):
            await self.send(self.wrapped(stream.name, data))

    def _is_known(self, name: str) -> bool:
        return name == LISTEN_KEY or read_stream(name, self.session, self._symbols) is not None

    async def _refuse(self, number: Any, message: str) -> None:
        await self.send({"error": {"code": 2, "msg": message}, "id": number})


class _ApiConnection(_Connection):
    """The WebSocket API: requests and, when subscribed, the events of account and orders."""

    def __init__(self, websocket: WebSocket, services: SocketServices, caller: Caller, session: Session) -> None:
        super().__init__(websocket, services, caller, session)
        self._api = SocketApi(services.market, services.orders, caller)

    async def news(self, followed: Followed, news: News) -> None:
        if not news.orders or not self._api.subscriptions:
            return
        instruments = await self.services.market.instruments.of(self.session)
        user = UserEvents(self.services.sim, instruments)
        for report in await user_messages(self.services, self.caller, user, self.session, news):
            for number in self._api.subscriptions:
                await self.send({"subscriptionId": number, "event": report})

    async def refuse(self, error: ExchangeError) -> None:
        await self.send(self._api.failure(None, error))

    async def answer(self, request: Any) -> None:
        await self.send(await self._api.answer(request, self.refreshed))


async def user_messages(
    services: SocketServices, caller: Caller, user: UserEvents, session: Session, news: News
) -> list[dict[str, Any]]:
    """Return the messages about new orders and fills, and then the balances."""
    reports = await user.reports(session, news.orders)
    if not reports:
        return []
    balances = await services.orders.balances(session, caller.user_id)
    return [*reports, user.position(news.orders[-1].ts, balances)]


class _OverError(Exception):
    """The connection is over; the code says why."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code


def _request(message: Mapping[str, Any]) -> Any:
    """Return the JSON of a message; raises `ValueError`."""
    text = message.get("text")
    text = text if text is not None else message.get("bytes", b"").decode()
    return json.loads(text, parse_float=str, parse_constant=_no_number)


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
