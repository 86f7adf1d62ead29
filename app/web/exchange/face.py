"""Between the router and the calls of the exchange face: key, parameters, and the form of answers and errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import localcontext
from typing import Any, Final

from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from app.clock import Clock
from app.db.pool import ValueRefused
from app.errors import SimError
from app.settings import Settings
from app.web.exchange.call import FACE_PATH, Access, FaceCall, Handler
from app.web.exchange.candles import now_ms
from app.web.exchange.errors import ExchangeError, json_answer, of_error, unsupported
from app.web.exchange.numbers import WIDE
from app.web.exchange.params import Params, parse_params
from app.web.http.parsing import read_body
from app.web.http.refusals import Refusals, count_refusal
from app.web.http.route_spec import RouteSpec

_METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH")
_MAX_WINDOW_MS: Final = 60_000
_DEFAULT_WINDOW_MS: Final = 5_000
_AHEAD_MS: Final = 1_000


class ExchangeFace:
    """Answers the calls under `/x/binance/{botKey}`: always in the form of the exchange, also for what is not there."""

    def __init__(
        self, table: Sequence[RouteSpec], access: Access, clock: Clock, settings: Settings, refusals: Refusals
    ) -> None:
        self._handlers: Mapping[tuple[str, str], Handler] = {
            (spec.method, spec.path.removeprefix(f"{FACE_PATH}/")): spec.handler for spec in table
        }
        self._access = access
        self._clock = clock
        self._settings = settings
        self._refusals = refusals

    def routes(self) -> list[BaseRoute]:
        """Return the route of all calls."""
        return [Route(f"{FACE_PATH}/{{path:path}}", self._endpoint, methods=list(_METHODS))]

    async def _endpoint(self, request: Request) -> ASGIApp:
        try:
            return json_answer(await self.answer(request))
        except ExchangeError as error:
            return error.response()
        except (SimError, ValueRefused) as error:
            if isinstance(error, SimError):
                count_refusal(self._refusals, error)
            return of_error(error).response()

    async def answer(self, request: Request) -> Any:
        """Return the JSON of a call's answer."""
        caller, session = await self._access.session(request)
        method = "GET" if request.method == "HEAD" else request.method
        body = await read_body(request, self._settings.max_body)
        params = parse_params(request.url.query, body.decode("utf-8", "replace"))
        handler = self._handlers.get((method, request.path_params["path"]))
        if handler is None:
            raise unsupported(f"{method} /{request.path_params['path'][:100]}")
        call = FaceCall(session, caller, params)
        self.require_timely(call)
        with localcontext(WIDE):
            return await handler(call)

    def require_timely(self, call: FaceCall) -> None:
        """Check `recvWindow`, and with ZEON_STRICT_TIMESTAMPS also `timestamp`, against both clocks.

        Clients measure their offset once, so on a session's clock they are soon wrong.
        """
        sent = _whole(call.params, "timestamp")
        window = _whole(call.params, "recvWindow")
        if window is not None and window > _MAX_WINDOW_MS:
            raise ExchangeError(-1131, "recvWindow must be less than 60000.")
        if sent is None or not self._settings.strict_timestamps:
            return
        ago = [now - sent for now in (self._clock.now_ms(), now_ms(call.session))]
        window = _DEFAULT_WINDOW_MS if window is None else window
        if any(-_AHEAD_MS < late <= window for late in ago):
            return
        if all(late <= -_AHEAD_MS for late in ago):
            raise ExchangeError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        raise ExchangeError(-1021, "Timestamp for this request is outside of the recvWindow.")


def _whole(params: Params, name: str) -> int | None:
    """Return a number of ms; clients send a window with decimals too."""
    value = params.text(name)
    return None if value is None else Params({name: value.partition(".")[0]}).integer(name)
