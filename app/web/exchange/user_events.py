"""What the stream of account and orders sends: `executionReport` and `outboundAccountPosition`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from app.db import commands
from app.db.commands import OrderRow
from app.db.log import orders as logged
from app.db.log.orders import LoggedEvent
from app.domain.session import Session
from app.domain.trading.account import ZERO
from app.domain.trading.broker import REDUCED
from app.engine.account import exact
from app.engine.session_service import SessionService
from app.web.exchange import order_messages
from app.web.exchange.instruments import Instrument
from app.web.exchange.numbers import WIDE, floor_text, text
from app.web.exchange.order_messages import STATUSES, ShownOrder
from app.web.exchange.spot import Balance

_QUIET: Final = (REDUCED, "trailed")
"""Reasons of changes that are no new order."""
_REPORTED: Final = {"accepted": "NEW", "cancelled": "CANCELED", "expired": "EXPIRED", "rejected": "REJECTED"}


class UserEvents:
    """The messages of one account."""

    def __init__(self, sim: SessionService, instruments: Mapping[str, Instrument]) -> None:
        self._sim = sim
        self._instruments = instruments

    async def reports(self, session: Session, events: Sequence[LoggedEvent]) -> list[dict[str, Any]]:
        """Return a report for each new, filled or ended order in events of the log, oldest first."""
        ids = {event.payload["orderId"] for event in events}
        if not ids:
            return []
        rows = await self._sim.database.run(commands.orders, session.id, after_id=min(ids) - 1)
        books = {row.order_id: _Book(row) for row in rows if row.order_id in ids}
        later = await self._sim.database.run(logged.fills, session.id, from_seq=events[-1].seq + 1)
        for event in (*events, *later):
            if event.type == "fill" and event.payload["orderId"] in books:
                books[event.payload["orderId"]].rewind(event)
        reports = []
        for event in events:
            book = books.get(event.payload["orderId"])
            if book is not None and (report := self._report(event, book)) is not None:
                reports.append(report)
        return reports

    def position(self, ts: int, balances: Mapping[str, Balance]) -> dict[str, Any]:
        """Return the balances as the stream has them."""
        shown = [
            {"a": asset, "f": floor_text(balance.free), "l": floor_text(balance.locked)}
            for asset, balance in balances.items()
        ]
        return {"e": "outboundAccountPosition", "E": ts, "u": ts, "B": shown}

    def _report(self, event: LoggedEvent, book: _Book) -> dict[str, Any] | None:
        if event.type == "fill":
            book.add(event)
            return self._message(event, book, "TRADE")
        status = event.payload["status"]
        if status not in _REPORTED or event.payload["reason"] in _QUIET:
            return None
        book.status = STATUSES[status]
        return self._message(event, book, _REPORTED[status])

    def _message(self, event: LoggedEvent, book: _Book, execution: str) -> dict[str, Any]:
        order, fill = book.order, event.payload if execution == "TRADE" else None
        qty, price = (ZERO, ZERO) if fill is None else (exact(fill["qty"]), exact(fill["price"]))
        refused = event.payload.get("reason") if execution == "REJECTED" else None
        return {
            "e": "executionReport",
            "E": event.ts,
            "s": order.symbol,
            "c": order.client_id,
            "S": order.side,
            "o": order.type,
            "f": order.time_in_force,
            "q": text(order.qty),
            "p": text(order.price),
            "P": text(order.stop),
            "F": text(ZERO),
            "g": -1,
            "C": order.client_id if execution == "CANCELED" else "",
            "x": execution,
            "X": book.status,
            "r": refused or "NONE",
            "i": order.order_id,
            "l": text(qty),
            "z": text(book.filled),
            "L": text(price),
            "n": text(ZERO if fill is None else exact(fill["fee"])),
            "N": None if fill is None else self._instruments[order.symbol].quote,
            "T": event.ts,
            "t": -1 if fill is None else event.seq,
            "I": event.seq,
            "w": book.status in ("NEW", "PARTIALLY_FILLED"),
            "m": fill is not None and order_messages.is_maker(fill),
            "M": False,
            "O": order.placed_ts,
            "Z": text(book.cost),
            "Y": text(WIDE.multiply(qty, price)),
            "Q": text(ZERO),
            "W": order.placed_ts,
            "V": "NONE",
        }


class _Book:
    """How far an order is filled while its events are read: first back to before them, then forward."""

    def __init__(self, row: OrderRow) -> None:
        self.order: ShownOrder = order_messages.of_row(row)
        self.filled, self.cost = row.filled, row.cost
        self.status = "NEW"

    def rewind(self, fill: LoggedEvent) -> None:
        """Take a fill away: one that is reported next, or one that came later."""
        self._count(fill, Decimal(-1))

    def add(self, fill: LoggedEvent) -> None:
        """Count a fill."""
        self._count(fill, Decimal(1))
        self.status = "FILLED" if self.filled >= self.order.qty else "PARTIALLY_FILLED"

    def _count(self, fill: LoggedEvent, sign: Decimal) -> None:
        qty, price = exact(fill.payload["qty"]), exact(fill.payload["price"])
        self.filled = WIDE.add(self.filled, WIDE.multiply(sign, qty))
        self.cost = WIDE.add(self.cost, WIDE.multiply(sign, WIDE.multiply(qty, price)))
