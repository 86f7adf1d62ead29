"""Long answers end within a heartbeat when their caller is no longer valid, or their session is deleted.

They end at once when the client hangs up, with what Postgres does for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from app.db.pool import cancelling_queries
from app.errors import NotFoundError, UnavailableError

IsStillValid = Callable[[], Awaitable[bool]]


async def may_continue(is_still_valid: IsStillValid, timeout_s: float) -> bool:
    """Whether a caller may continue; yes while the database does not answer."""
    try:
        async with asyncio.timeout(timeout_s):
            return await is_still_valid()
    except (TimeoutError, UnavailableError):
        return True


class WhileValid:
    """A response that is cut off when it may not go on, so that nobody takes it for whole."""

    def __init__(self, response: ASGIApp, is_still_valid: IsStillValid, heartbeat_s: float) -> None:
        self._response = response
        self._is_still_valid = is_still_valid
        self._heartbeat_s = heartbeat_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        watcher = asyncio.create_task(self._abort_when_invalid(scope["state"]["abort"]))
        on_disconnect = scope["state"]["on_disconnect"]
        try:
            async with asyncio.timeout(None) as wanted:
                on_disconnect(lambda: wanted.reschedule(0))
                with cancelling_queries():
                    await self._response(scope, receive, send)
        except TimeoutError:
            if not wanted.expired():
                raise
        except NotFoundError:  # Its session was deleted meanwhile.
            scope["state"]["abort"]()
        finally:
            on_disconnect(None)
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)

    async def _abort_when_invalid(self, abort: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s)
            if not await may_continue(self._is_still_valid, self._heartbeat_s / 2):
                abort()
                return
