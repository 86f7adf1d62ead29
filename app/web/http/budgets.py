"""What one caller may ask for: requests per second, and calls at once that walk much of a log."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Literal, Protocol

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import BusyError, TooManyRequestsError
from app.settings import Settings

Budget = Literal["normal", "heavy", "stream", "open"]
"""What a call counts for, besides the requests per second of its user, or of its address if it is `open`.

`heavy` calls walk much of a log: a user may make `ZEON_HEAVY` at once. A `stream` counts for `ZEON_USER_STREAMS`.
"""

STRANGER_RATE = 20
"""Requests per second of one address that are answered 401, or for which there is no route."""
HEAVY_WAIT_S = 10.0
"""Seconds that a heavy call waits for its turn."""
_REMEMBERED = 10_000
"""Number of clients to remember; a forgotten client starts with a full bucket again."""


class Buckets(Protocol):
    """The token buckets of clients: the level of each, and when that was."""

    def get(self, client: str) -> tuple[float, float] | None:
        """Return level and time of a client's bucket; null for one that is not known."""

    def put(self, client: str, level: float, at: float) -> None:
        """Set level and time of a client's bucket."""


class OwnBuckets:
    """The buckets of this process."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def get(self, client: str) -> tuple[float, float] | None:
        """Return level and time of a client's bucket."""
        return self._buckets.get(client)

    def put(self, client: str, level: float, at: float) -> None:
        """Set level and time of a client's bucket."""
        self._buckets[client] = level, at
        self._buckets.move_to_end(client)
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)


class RateLimiter:
    """A token bucket per client: it has `burst` requests and is refilled with `rate` per second."""

    def __init__(
        self,
        rate: float,
        burst: float,
        now: Callable[[], float] = time.monotonic,
        *,
        buckets: Buckets | None = None,
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._now = now
        self._buckets = buckets or OwnBuckets()

    def take(self, client: str) -> float:
        """Count a request if the client has one left, and return 0; else return the seconds until it has one."""
        now = self._now()
        level = self._level(client, now)
        if level < 1:
            return (1 - level) / self._rate
        self._buckets.put(client, level - 1, now)
        return 0

    def charge(self, client: str) -> None:
        """Count a request even if the client has none left: it has none until that is made up for."""
        now = self._now()
        self._buckets.put(client, self._level(client, now) - 1, now)

    def wait_s(self, client: str) -> float:
        """Return the seconds until the client has a request left, 0 if it has."""
        return max(0.0, (1 - self._level(client, self._now())) / self._rate)

    def _level(self, client: str, now: float) -> float:
        """Return the level of a client's bucket, refilled up to now."""
        level, at = self._buckets.get(client) or (self._burst, now)
        return min(self._burst, level + (now - at) * self._rate)


class Budgets:
    """The budgets of all users and addresses in this process; their requests are counted in `buckets`."""

    def __init__(self, settings: Settings, new_buckets: Callable[[], Buckets] = OwnBuckets) -> None:
        self.users = RateLimiter(settings.rate, settings.burst, buckets=new_buckets())
        self.addresses = RateLimiter(settings.rate, settings.burst, buckets=new_buckets())
        self.strangers = RateLimiter(STRANGER_RATE, STRANGER_RATE, buckets=new_buckets())
        self._has_strangers = "none" not in settings.auth
        self._user_header = settings.proxy_user_header or ""
        self._known: OrderedDict[int, None] = OrderedDict()
        self.heavy = HeavyCalls(settings.heavy, max(1, settings.pool_size // 2))

    def take_user(self, user_id: str) -> None:
        """Count a request of a user; raises `TooManyRequestsError`."""
        _require_none(self.users.take(user_id))

    def take_address(self, address: str) -> None:
        """Count a request that needs no user; raises `TooManyRequestsError`."""
        _require_none(self.addresses.take(address))

    def charge_stranger(self, address: str) -> None:
        """Count a request that no user made."""
        self.strangers.charge(address)

    def require_few_strangers(self, address: str, request: HTTPConnection) -> None:
        """Refuse to check credentials for an address that sent many wrong ones; raises `TooManyRequestsError`.

        Those that were right before are checked: somebody else at the same address may have sent the wrong ones. A
        server without authentication has no strangers.
        """
        if self._has_strangers and self._credentials(request) not in self._known:
            _require_none(self.strangers.wait_s(address))

    def remember(self, request: HTTPConnection) -> None:
        """Remember that the credentials of a request were right."""
        credentials = self._credentials(request)
        if credentials:
            self._known[credentials] = None
            self._known.move_to_end(credentials)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    def forget(self, request: HTTPConnection) -> None:
        """Forget credentials that are no longer right."""
        self._known.pop(self._credentials(request), None)

    def _credentials(self, request: HTTPConnection) -> int:
        """Return a number for the credentials of a request, 0 without any."""
        headers = request.headers
        sent = (
            headers.get("authorization"),
            headers.get(self._user_header) if self._user_header else None,
            request.cookies.get("zeon"),
            request.query_params.get("share"),
            request.path_params.get("botKey"),
        )
        return hash(sent) if any(sent) else 0


class HeavyCalls:
    """The heavy calls in progress: at most some of each user, and of all users together no more than `places`.

    The places keep connections of the pool free for other calls. Only the computation takes one: a client that reads
    its file slowly has a turn, but no place.
    """

    def __init__(self, per_user: int, places: int) -> None:
        self._per_user = per_user
        self._places = asyncio.Semaphore(places)
        self._users: dict[str, asyncio.Semaphore] = {}
        self._calls: Counter[str] = Counter()

    async def turn(self, user_id: str) -> HeavyCall:
        """Wait for a turn of a user; raises `TooManyRequestsError` after `HEAVY_WAIT_S`, or `BusyError`."""
        turn = HeavyCall(self, user_id)
        try:
            async with asyncio.timeout(HEAVY_WAIT_S):
                await turn.wait()
        except TimeoutError:
            turn.end()
            raise turn.refusal() from None
        except BaseException:
            turn.end()
            raise
        return turn

    def enter(self, user_id: str) -> asyncio.Semaphore:
        """Return the semaphore of a user, which is kept until as many calls have left."""
        self._calls[user_id] += 1
        return self._users.setdefault(user_id, asyncio.Semaphore(self._per_user))

    def leave(self, user_id: str) -> None:
        """Forget a user without calls."""
        self._calls[user_id] -= 1
        if not self._calls[user_id]:
            del self._calls[user_id], self._users[user_id]

    @property
    def places(self) -> asyncio.Semaphore:
        """The places of all users."""
        return self._places

    @property
    def per_user(self) -> int:
        """How many calls at once a user may make."""
        return self._per_user


class HeavyCall:
    """One heavy call: it holds a turn of its user until `end`, and a place until `computed`."""

    def __init__(self, calls: HeavyCalls, user_id: str) -> None:
        self._calls = calls
        self._user_id = user_id
        self._own = calls.enter(user_id)
        self._has_turn = self._has_place = self._ended = False

    async def wait(self) -> None:
        """Wait for a turn of the user, then for a place."""
        await self._own.acquire()
        self._has_turn = True
        await self._calls.places.acquire()
        self._has_place = True

    def refusal(self) -> Exception:
        """Return the error for a call that waited in vain."""
        if self._has_turn:
            return BusyError("The server is busy with long calls of other users; try again.")
        return TooManyRequestsError(
            f"At most {self._calls.per_user} calls that read much of a log may run at once for one user; "
            "wait for one of them to end.",
            code="too_many_heavy_calls",
            retry_after_s=HEAVY_WAIT_S,
        )

    def computed(self) -> None:
        """Give the place back."""
        if self._has_place:
            self._has_place = False
            self._calls.places.release()

    def end(self) -> None:
        """End the call."""
        self.computed()
        if not self._ended:
            self._ended = True
            if self._has_turn:
                self._own.release()
            self._calls.leave(self._user_id)


class HeavyResponse:
    """A response that ends the turn of its call once it is sent."""

    def __init__(self, response: ASGIApp, turn: HeavyCall) -> None:
        self._response = response
        self._turn = turn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        try:
            await self._response(scope, receive, send)
        finally:
            self._turn.end()


def _require_none(wait_s: float) -> None:
    if wait_s > 0:
        raise TooManyRequestsError(retry_after_s=math.ceil(wait_s))
