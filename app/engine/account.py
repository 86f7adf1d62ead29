"""The account of a session, read from its log: exact, in any status, from any process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import Any, NamedTuple
from uuid import UUID

from app.db import sessions
from app.db.log import orders
from app.db.log.orders import LoggedEvent
from app.db.pool import Connection, Database
from app.domain.number import EXACT
from app.domain.session import Session
from app.domain.trading.account import ZERO, Account, Fill, FillTime
from app.domain.trading.command import OPEN_STATUSES, shown_order
from app.domain.trading.handover import NO_ACCOUNT
from app.errors import WrongStatusError
from app.strategy_hosts.strategy_catalog import CANDLES_ONLY

_MAX_ACCOUNTS = 200
_PAGE = 5000


class PositionView(NamedTuple):
    """An open position: signed quantity, mean entry price, signed worth, and profit without fees."""

    symbol: str
    qty: Decimal
    avg_price: Decimal
    value: Decimal
    unrealized_pnl: Decimal


class AccountView(NamedTuple):
    """An account at a seq of the log: money in the quote currency, positions at their last closes, open orders."""

    ts: int
    seq: int
    cash: Decimal
    equity: Decimal
    positions: list[PositionView]
    open_orders: list[dict[str, Any]]


@dataclass
class _Book:
    """What the orders, fills and costs of a log up to a seq come to."""

    account: Account
    seq: int
    orders: dict[int, dict[str, Any]] = field(default_factory=dict)
    client_order_id: str | None = None
    """The clientOrderId of the command just read; the order after it has it."""

    def add(self, event: LoggedEvent) -> None:
        """Add the next event."""
        self.seq = event.seq
        if event.type == "fill":
            self._fill(event)
        elif event.type in ("funding", "interest"):
            with localcontext(EXACT):
                self.account.cash -= exact(event.payload["amount"])
        elif event.type == "control":
            self.client_order_id = event.payload["args"].get("clientOrderId")
        else:
            self._change_order(event)

    def _fill(self, event: LoggedEvent) -> None:
        payload = event.payload
        qty, price = exact(payload["qty"]), exact(payload["price"])
        sign, symbol = 1 if payload["side"] == "BUY" else -1, payload["symbol"]
        fee = exact(payload["fee"])
        with localcontext(EXACT):
            self.account.book(Fill(0, symbol, sign, qty, price, ZERO, ZERO, ""), FillTime(event.ts, 0), "")
            self.account.cash -= fee
            if payload["orderId"] in self.orders:
                self.orders[payload["orderId"]]["filledQty"] += qty

    def _change_order(self, event: LoggedEvent) -> None:
        payload = event.payload
        order = self.orders.pop(payload["orderId"], None)
        if order is None:
            order = {"placedTs": event.ts, "filledQty": ZERO, "avgPrice": None, "clientOrderId": self.client_order_id}
        self.client_order_id = None
        if payload["status"] in OPEN_STATUSES:
            self.orders[payload["orderId"]] = {**order, **shown_order(payload), "ts": event.ts}


def exact(value: Any) -> Decimal:
    """Return a number of a payload as it was written."""
    return Decimal(getattr(value, "text", value))


class AccountReader:
    """Reads accounts; it remembers what it has read of the newest `_MAX_ACCOUNTS`, because a log only grows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._books: OrderedDict[UUID, _Book] = OrderedDict()

    async def read(self, session_id: UUID, user_id: str) -> AccountView:
        """Return the account of a session; raises `WrongStatusError` if it has none, `NotFoundError`."""
        return await self._database.run(self._read, session_id, user_id)

    async def _read(self, connection: Connection, session_id: UUID, user_id: str) -> AccountView:
        session = await sessions.get(connection, session_id, user_id)
        if session.spec.profile_slug == CANDLES_ONLY:
            raise WrongStatusError(NO_ACCOUNT)
        book = self._books.pop(session_id, None) or _Book(
            Account(session.spec.trading.initial_cash, session.spec.symbols), _first_seq(session)
        )
        while page := await orders.events_after(connection, session_id, book.seq, session.last_seq, _PAGE):
            for event in page:
                book.add(event)
        self._books[session_id] = book
        while len(self._books) > _MAX_ACCOUNTS:
            self._books.popitem(last=False)
        marks = await orders.last_closes(connection, session)
        return _view(session, book, marks)


def _first_seq(session: Session) -> int:
    """Return the seq after which the account begins: a stage without an account ends the one before it."""
    return max((part.to_seq for part in session.past if part.profile_slug == CANDLES_ONLY), default=0)


def _view(session: Session, book: _Book, marks: dict[str, Decimal]) -> AccountView:
    with localcontext(EXACT):
        positions = list(_positions(book.account, marks))
        equity = book.account.cash + sum((position.value for position in positions), ZERO)
    ts = session.spec.start_ms if session.last_ts is None else session.last_ts
    open_orders = [dict(order) for order in book.orders.values()]
    return AccountView(ts, session.last_seq, book.account.cash, equity, positions, open_orders)


def _positions(account: Account, marks: dict[str, Decimal]) -> Iterator[PositionView]:
    for symbol, position in account.positions.items():
        if position.qty:
            value = position.qty * marks.get(symbol, ZERO)
            yield PositionView(symbol, position.qty, position.avg_price, value, value - position.cost)
