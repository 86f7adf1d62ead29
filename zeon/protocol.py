"""The parts that both clients share: the calls of the API, its answers, and reading and resuming a stream."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import httpx2

from zeon.events import AnyEvent, event_of

SESSIONS = "/api/sim/sessions"
DEFAULTS: dict[str, Any] = {"timeout": 30, "limits": httpx2.Limits(max_connections=None)}
RETRIED = (httpx2.NetworkError, httpx2.TimeoutException, httpx2.RemoteProtocolError, httpx2.ProxyError)
"""Errors of the connection, after which a tail reconnects."""
_BUSY = (408, 425, 429)
_PASSING = ("too_many_requests", "too_many_heavy_calls")
"""Codes of refused calls that succeed a moment later; a quota, for example, does not pass by itself."""
PATIENCE_S = 60.0
"""Seconds that a call waits in all, by default."""
_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.1, 5.0

log = logging.getLogger("zeon")
Answer = TypeVar("Answer")
Parse = Callable[[str], Any]


class ApiError(Exception):
    """The server refused a call: a sentence, the HTTP status, and the API's `code` and `details`, if any."""

    def __init__(self, response: httpx2.Response) -> None:
        try:
            answer: dict[str, Any] = response.json()
            self.message = str(answer["error"])
        except (ValueError, KeyError, TypeError):
            answer, self.message = {}, f"The server answered {response.status_code} without a reason."
        super().__init__(self.message)
        self.status = response.status_code
        self.code: str | None = answer.get("code")
        self.details: Any = answer.get("details")
        wait = response.headers.get("retry-after", "")
        self.retry_after_s = float(wait) if wait.isdecimal() else 0.0

    @property
    def may_succeed_later(self) -> bool:
        """Whether the same call may succeed later."""
        return self.status >= 500 or self.status in _BUSY


class Patience:
    """How long one call waits for a server that answers that its user asks too much at once."""

    def __init__(self, patience_s: float) -> None:
        self._left_s = patience_s

    def pause_s(self, response: httpx2.Response) -> float | None:
        """Return how long to wait before the same call; null if it succeeded, or waiting does not help."""
        if response.status_code != 429:
            return None
        error = ApiError(response)
        pause_s = max(0.1, error.retry_after_s)
        if error.code not in _PASSING or pause_s > self._left_s:
            return None
        self._left_s -= pause_s
        log.warning("The call waits for %.1f s: %s", pause_s, error)
        return pause_s


class BrokenStreamError(Exception):
    """The answer is not a stream of events, or the stream skipped an event: this address is not a ZEON server."""


class LogShorterError(Exception):
    """The log has lost events that were already received; it now ends at `last_seq`.

    The database was replaced by a copy that lacks its newest events. Read the log again from where you trust it.
    """

    def __init__(self, last_seq: int) -> None:
        super().__init__(f"The log is shorter than what was sent: it now ends at seq {last_seq}.")
        self.last_seq = last_seq


class Calls(Generic[Answer]):
    """The calls with one answer: `Client` returns the data, `AsyncClient` an awaitable.

    Names of fields may be in Python's form (`start_ms`) or in the API's (`startMs`).
    """

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, key: str | None = None, **query: Any
    ) -> Answer:
        raise NotImplementedError

    def create(self, **fields: Any) -> Answer:
        """Create a session and return it: `profile_slug`, `symbol`, `timeframe`, `start_ms` … (docs/sessions.md)."""
        return self._call("POST", SESSIONS, to_api(fields))

    def sessions(self, **query: Any) -> Answer:
        """Return a page of your sessions, newest first, and its `nextCursor`; filters: `status`, `tag`."""
        return self._call("GET", SESSIONS, **query)

    def session(self, session_id: str) -> Answer:
        """Return a session."""
        return self._call("GET", f"{SESSIONS}/{session_id}")

    def change(self, session_id: str, **fields: Any) -> Answer:
        """Change `replay_ms_per_candle` or `speed`, `name`, `tags`; return the session."""
        return self._call("PATCH", f"{SESSIONS}/{session_id}", to_api(fields))

    def delete(self, session_id: str) -> Answer:
        """Delete a session that is not running, with its log."""
        return self._call("DELETE", f"{SESSIONS}/{session_id}")

    def start(self, session_id: str, **fields: Any) -> Answer:
        """Run a session; like all controls it returns the session."""
        return self._call("POST", f"{SESSIONS}/{session_id}/start", to_api(fields))

    def pause(self, session_id: str) -> Answer:
        """Pause a session: after the answer no candle follows."""
        return self._call("POST", f"{SESSIONS}/{session_id}/pause", {})

    def resume(self, session_id: str, **fields: Any) -> Answer:
        """Resume a session; with `accept_revised=True` also if used candles were revised.

        With `accept_changed=True` a session whose changed strategy gives another log stays paused, and the answer is a
        fork that goes on with the new code before the difference.
        """
        return self._call("POST", f"{SESSIONS}/{session_id}/resume", to_api(fields))

    def stop(self, session_id: str) -> Answer:
        """Stop a session for good."""
        return self._call("POST", f"{SESSIONS}/{session_id}/stop", {})

    def step(self, session_id: str, candles: int = 1, **fields: Any) -> Answer:
        """Run `candles` ticks at once, then pause; `if_cursor_ms` makes a repeated call harmless.

        With `wait=True` the answer comes when the last tick is in the log.
        """
        return self._control(session_id, "step", candles=candles, **fields)

    def run_until(self, session_id: str, **fields: Any) -> Answer:
        """Run to a time (`time_ms`) or through the first event of a type (`event_type`), then pause."""
        return self._control(session_id, "runUntil", **fields)

    def jump(self, session_id: str, time_ms: int) -> Answer:
        """Run without pauses to a time, then continue at the pace as before."""
        return self._control(session_id, "jump", time_ms=time_ms)

    def pace(self, session_id: str, **fields: Any) -> Answer:
        """Change the pace: `replay_ms_per_candle` or `speed`."""
        return self._control(session_id, "pace", **fields)

    def fork(self, session_id: str, at_seq: int, **fields: Any) -> Answer:
        """Create a session that shares the log up to a seq and continues with the changed fields."""
        return self._call("POST", f"{SESSIONS}/{session_id}/fork", to_api({"at_seq": at_seq, **fields}))

    def compare(self, *session_ids: str, points: int = 300) -> Answer:
        """Compare 2 to 20 sessions: settings that differ, figures, curves, and where the trades part."""
        return self._call("GET", f"/api/sim/compare?ids={','.join(session_ids)}&points={points}")

    def stats(self, session_id: str) -> Answer:
        """Return the statistics of a session (docs/statistics.md)."""
        return self._call("GET", f"{SESSIONS}/{session_id}/stats")

    def equity(self, session_id: str, points: int = 500) -> Answer:
        """Return the equity curve: `{"points": [{"seq", "ts", "equity", "drawdownPct"}]}`."""
        return self._call("GET", f"{SESSIONS}/{session_id}/equity", points=points)

    def profiles(self) -> Answer:
        """Return the strategies that sessions can name, with their parameters."""
        return self._call("GET", "/api/sim/profiles")

    def order(self, session_id: str, side: str, type: str = "market", **fields: Any) -> Answer:  # noqa: A002
        """Place an order and return it when it is in the log: `qty`, `limit_price` … (docs/orders.md).

        `idempotency_key` makes a repeated call harmless.
        """
        return self._keyed("POST", f"{SESSIONS}/{session_id}/orders", {"side": side, "type": type, **fields})

    def orders(self, session_id: str, status: str = "all", **query: Any) -> Answer:
        """Return a page of the orders, oldest first, and `nextAfterId`; `status="open"`: those that are open."""
        return self._call("GET", f"{SESSIONS}/{session_id}/orders", **to_api({"status": status, **query}))

    def get_order(self, session_id: str, order_id: int) -> Answer:
        """Return an order."""
        return self._call("GET", f"{SESSIONS}/{session_id}/orders/{order_id}")

    def cancel(self, session_id: str, order_id: int | None = None) -> Answer:
        """Cancel an open order and return it; without an id all, returning their ids as `cancelled`."""
        path = f"{SESSIONS}/{session_id}/orders"
        return self._call("DELETE", path if order_id is None else f"{path}/{order_id}")

    def close_position(self, session_id: str, symbol: str | None = None, **fields: Any) -> Answer:
        """Close a position with a market order, or all positions; return the `orders`."""
        return self._keyed("POST", f"{SESSIONS}/{session_id}/close", without_none(symbol=symbol, **fields))

    def account(self, session_id: str) -> Answer:
        """Return cash, equity, positions and open orders."""
        return self._call("GET", f"{SESSIONS}/{session_id}/account")

    def clock(self, session_id: str) -> Answer:
        """Return the simulated time (`nowMs`) and when the next candle is due."""
        return self._call("GET", f"{SESSIONS}/{session_id}/clock")

    def share(self, session_id: str, expires_in: int | str = "7d", **fields: Any) -> Answer:
        """Create a link with which anybody may read a session until it ends; return its `url` and `keyId`.

        `expires_in` is in seconds or a text such as `"12h"`; `name` is for the list of links.
        """
        return self._call("POST", f"{SESSIONS}/{session_id}/share", to_api({"expires_in": expires_in, **fields}))

    def shares(self, session_id: str) -> Answer:
        """Return the valid `links` of a session, without their keys."""
        return self._call("GET", f"{SESSIONS}/{session_id}/share")

    def unshare(self, session_id: str, key_id: str) -> Answer:
        """Revoke a link to a session; streams that were opened with it end within a heartbeat."""
        return self._call("DELETE", f"{SESSIONS}/{session_id}/share/{key_id}")

    def _keyed(self, method: str, path: str, fields: Mapping[str, Any]) -> Answer:
        """Make a call whose `idempotency_key`, if given, is sent as the header."""
        body = dict(fields)
        key = body.pop("idempotency_key", None)
        return self._call(method, path, to_api(body), key=key)

    def _control(self, session_id: str, action: str, **fields: Any) -> Answer:
        return self._call("POST", f"{SESSIONS}/{session_id}/control", {"action": action, **to_api(fields)})


class LogPosition:
    """The position of a stream's reader: the next query, the new events, and the pause after an error."""

    def __init__(self, from_seq: int, types: str | None, parse_float: Parse) -> None:
        self._last_seq = max(from_seq, 1) - 1
        self._types = types
        self._parse_float = parse_float
        self._pause_s = _FIRST_PAUSE_S
        self._received = False

    def query(self) -> dict[str, Any]:
        """Return the query that continues after the last event; call it before reading a new response."""
        self._rest, self._name, self._data = b"", b"", b""
        return without_none(fromSeq=self._last_seq + 1, types=self._types)

    def is_stream(self, response: httpx2.Response) -> bool:
        """Whether a stream follows; false if the log has ended. The body of an error must have been read."""
        if response.status_code == 204:
            return False
        if not response.is_success:
            error = ApiError(response)
            if error.code == "seq_ahead" and self._received:
                raise LogShorterError(error.details["lastSeq"])
            raise error
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            raise BrokenStreamError(f"{response.url} does not answer with a stream of events.")
        return True

    def read(self, chunk: bytes) -> Iterator[AnyEvent]:
        """Yield the events that a chunk of a stream completes, each event of the log once."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            name, _, value = line.rstrip(b"\r").partition(b":")
            if name == b"data":
                self._data += value
            elif name == b"event":
                self._name = value.strip()
            elif line in (b"", b"\r"):
                if self._name == b"log_shorter":
                    raise LogShorterError(json.loads(self._data)["lastSeq"])
                if self._data and not self._name:
                    yield from self._new(event_of(json.loads(self._data, parse_float=self._parse_float)))
                self._name, self._data = b"", b""

    def pause_s(self, error: Exception | None) -> float:
        """Return how long to wait before the next request; raises the error if a retry cannot help."""
        if isinstance(error, ApiError) and not error.may_succeed_later:
            raise error
        if error is not None:
            log.warning("The stream broke after seq %d; reconnecting: %s", self._last_seq, error or repr(error))
        min_pause_s = error.retry_after_s if isinstance(error, ApiError) else 0
        pause_s = max(min_pause_s, self._pause_s * random.uniform(0.5, 1))  # noqa: S311 - spreads clients, guards nothing
        self._pause_s = min(2 * self._pause_s, _MAX_PAUSE_S)
        return pause_s

    def _new(self, event: AnyEvent) -> Iterator[AnyEvent]:
        if event.seq > self._last_seq + 1 and self._types is None:
            raise BrokenStreamError(f"Event {event.seq} follows event {self._last_seq}.")
        if event.seq > self._last_seq:
            self._last_seq, self._pause_s, self._received = event.seq, _FIRST_PAUSE_S, True
            yield event


def data_of(response: httpx2.Response, parse_float: Parse) -> Any:
    """Return the data of an answer; raises `ApiError`."""
    if not response.is_success:
        raise ApiError(response)
    return response.json(parse_float=parse_float)["data"]


def to_api(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields with the API's names: `start_ms` is `startMs`."""
    return {_camel(name): value for name, value in fields.items()}


def without_none(**values: Any) -> dict[str, Any]:
    """Return the values without those that are null."""
    return {name: value for name, value in values.items() if value is not None}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
