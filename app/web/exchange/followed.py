"""What happens in a session, for the streams of a bot: closed candles, orders and fills, as the log gets them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Final, NamedTuple

from app.db import candles
from app.db.log.events import Frames
from app.db.log.orders import LoggedEvent
from app.db.pool import Database
from app.domain.candle_event import decode
from app.domain.market.candle import Candle
from app.domain.session import Session
from app.engine.streaming.hub import Tail

TYPES: Final = ("candle", "order", "fill")
_POLL_S: Final = 0.25
"""Pause between looks at the cursor of a session that logs no candles."""
_PAGE: Final = 500


class News(NamedTuple):
    """What is new: base candles, orders and fills in the order of the log; `gone` if the session was deleted."""

    candles: list[Candle]
    orders: list[LoggedEvent]
    gone: bool = False


class Followed:
    """A session from its present state on. With `record: trades` candles come from the cache, as the cursor moves."""

    def __init__(
        self, session: Session, tail: Tail, database: Database, refreshed: Callable[[], Awaitable[Session]]
    ) -> None:
        self.session = session
        self._tail = tail
        self._database = database
        self._refreshed = refreshed
        self._polls = session.spec.trading.record == "trades"

    async def next(self, timeout_s: float) -> News | None:
        """Return what is new, null if nothing is in time; raises what `Tail.next` and `refreshed` raise."""
        page = await self._tail.next(min(timeout_s, _POLL_S) if self._polls else timeout_s)
        news = None if page is None else self._of_page(page)
        if not self._polls:
            return news
        closed = await self._new_candles()
        return News(closed, news.orders if news else [], news.gone if news else False) if closed or news else None

    def _of_page(self, page: Frames) -> News:
        news = News([], [], page.status is None)
        spec = self.session.spec
        for line in page.body.decode().split("\n"):
            if not line.startswith("data: "):
                continue
            event = json.loads(line[6:], parse_float=Decimal)
            if event["type"] != "candle":
                news.orders.append(LoggedEvent(event["seq"], event["ts"], event["type"], event["payload"]))
            elif event["payload"]["timeframe"] == spec.timeframe:
                news.candles.append(decode(json.dumps(event["payload"], default=_text)))
        return news

    async def _new_candles(self) -> list[Candle]:
        now, spec = await self._refreshed(), self.session.spec
        if now.cursor_ms is None or now.cursor_ms == self.session.cursor_ms:
            return []
        after = spec.start_ms - 1 if self.session.cursor_ms is None else self.session.cursor_ms
        found = await self._database.run(
            candles.window, spec.venue, spec.symbols, spec.timeframe, after, now.cursor_ms + 1, _PAGE
        )
        reached = found[-1].open_time_ms if len(found) >= _PAGE else now.cursor_ms
        self.session = replace(self.session, cursor_ms=reached)
        return found


def _text(value: object) -> str:
    return str(value)
