"""Runs one session's strategy with its broker and account: candles in, events out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Context, Decimal, getcontext, localcontext, setcontext
from random import Random
from types import MappingProxyType
from typing import Any, NamedTuple

from app.domain import event
from app.domain.event import Event
from app.domain.market.candle import Candle
from app.domain.number import EXACT, is_nan, use_exact_arithmetic
from app.domain.snapshot import InvalidSnapshotError, orders_from_json, orders_to_json
from app.domain.trading.account import Account, FillTime, Position
from app.domain.trading.broker import Broker
from app.domain.trading.carrying_costs import CarryingCosts
from app.domain.trading.command import Command, apply_command
from app.domain.trading.equity_curve import EquityCurve
from app.domain.trading.order import Order, Trail
from app.domain.trading.order_request import require_text, to_order
from app.domain.trading.settings import BrokerConfig
from app.domain.trading.strategy import Strategy

_DAY = 86_400_000
_CONTEXT = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")
_SIGNALS = ("flags", "traps")


class OpenOrder(NamedTuple):
    """A live order as a strategy sees it."""

    id: int
    symbol: str
    side: str
    type: str
    qty: Decimal | None
    filled: Decimal
    limit: Decimal | None
    stop: Decimal | None
    tag: str | None


class SlotView(NamedTuple):
    """A slot as a strategy sees it: openTime in ms, all its candles in log order, and the ts of the last event.

    `last` marks the last slot of the range; after it the strategy is stopped.
    """

    open_time_ms: int
    candles: Sequence[Candle]
    last: bool
    ts: int


class StrategyRunner:
    """Runs a strategy; everything it does depends only on the candles and the broker config.

    Money is computed in the `EXACT` context, the strategy has its own context (28 digits), and the caller's context is
    restored afterwards.
    """

    def __init__(self, strategy: Strategy, config: BrokerConfig) -> None:
        self.strategy = strategy
        self.config = config
        self.rng = seeded_rng(config)
        self.warming = False
        self._events: list[Event] = []
        self._start_events: list[Event] = []
        self._account = Account(config.initial_cash, config.symbols)
        self._broker = Broker(config, self._account, self._events)
        self._curve = EquityCurve(self._account)
        if config.rule_set.drawdown_from_cash:
            self._curve.raise_peak(config.initial_cash)
        self._costs = CarryingCosts(config)
        self._charging = self._costs.active
        self._curve.show_carrying_costs(self._charging)
        self._context = Context()
        self._ts = 0
        self._bar = -1
        self._full = config.record == "full"
        self._same_close = config.fill == "same_close"
        self._started = False
        self._trading = False
        self._last: Sequence[Candle] = ()
        self._day = -1
        self._unwritten = False
        strategy.bind(self)

    # Called by the engine

    def warm(self, candles: Sequence[Candle]) -> None:
        """Show the strategy the candles of a slot before the range; it cannot trade or write events."""
        if not self._started:
            self._start()
        self.warming = True
        try:
            with localcontext(self._context):
                self._call_strategy(candles)
        finally:
            self.warming = False

    def answer(self, slot: SlotView) -> list[Event]:
        """Return the events of a slot, see `answer_all`."""
        answers: list[list[Event]] = []
        self.answer_all((slot,), answers)
        return answers[0]

    def on_slot(self, candles: Sequence[Candle]) -> list[Event]:
        """Return the events of a slot with these candles; for tests of strategies."""
        open_time_ms = candles[0].open_time_ms
        return self.answer(SlotView(open_time_ms, candles, False, open_time_ms))

    def answer_all(self, slots: Iterable[SlotView], answers: list[list[Event]]) -> None:
        """Append the events of each slot, in log order: broker at the open, strategy and equity at the close.

        After the last slot of the range the strategy is stopped and live orders expire. Raises any error of the
        strategy; `answers` then has the events of the earlier slots.
        """
        if not self._started:
            self._start()
        outer = getcontext()
        try:
            for _, candles, last, ts in slots:
                if candles:
                    self._run_slot(candles, last)
                if last:
                    self._finish(ts)
                answers.append(self._take_events())
        finally:
            setcontext(outer)

    def run_command(self, ts: int, command: Command) -> list[Event]:
        """Return what the broker makes of a command after the last slot, whose close is `ts`."""
        with localcontext(EXACT):
            apply_command(self._broker, command, FillTime(ts, self._bar), _real_candles(self._last))
        return self._take_events()

    def _run_slot(self, candles: Sequence[Candle], last: bool) -> None:
        """Run broker, strategy and equity for a slot's candles; at least one has the base timeframe.

        Each part sets the decimal context that it needs and does not restore it.
        """
        base = self._base(candles) if len(candles) > 1 else candles
        self._bar += 1
        broker, account, context = self._broker, self._account, self._context
        if self._charging:
            self._charge(base[0].open_time_ms)
        if broker.live or broker.liquidates:
            use_exact_arithmetic()
            broker.at_open(_real_candles(base), FillTime(base[0].open_time_ms, self._bar))
        self._ts = base[0].close_time_ms
        self._last = base
        marks = account.marks
        for candle in base:
            marks[candle.symbol] = candle.close
        if self._charging:
            self._charge(self._ts)
        if getcontext() is not context:  # This check costs a third of `setcontext`.
            setcontext(context)
        if self._start_events:
            self._events += [early._replace(ts=self._ts) for early in self._start_events]
            self._start_events = []
        self._call_strategy(candles)
        if self._same_close and broker.live:
            use_exact_arithmetic()
            broker.at_close(_real_candles(base), FillTime(self._ts, self._bar))
        if self._full:
            self._events.append(event.equity(self._ts, self._curve.render()))
        else:
            use_exact_arithmetic()
            self._sample_equity(last)

    def _charge(self, ts: int) -> None:
        """Charge funding and interest up to a time."""
        use_exact_arithmetic()
        self._events += self._costs.charge(self._account, ts, ts)

    def _finish(self, ts: int) -> None:
        """Stop the strategy after the last slot; `ts` is the ts of the last event."""
        self._ts = max(ts, self._ts)
        with localcontext(self._context):
            self.strategy.on_stop()
        with localcontext(EXACT):
            for order in tuple(self._broker.live):
                self._broker.end(self._ts, order, "expired", "the range is finished")
            if self._unwritten:
                self._sample_equity(last=True)

    def inherit(self, other: StrategyRunner) -> None:
        """Take over another runner's account, orders and progress, as a fork does from its parent.

        The same strategy object also continues its random generator; another strategy was warmed up before.
        """
        if self.strategy is other.strategy:
            self._started, self.rng, self._start_events = other._started, other.rng, other._start_events
        self._account, self._curve = other._account, other._curve
        if self.config.rule_set.drawdown_from_cash:
            self._curve.raise_peak(self.config.initial_cash)
        self._costs.charged_ms = other._costs.charged_ms
        self._curve.show_carrying_costs(self._charging)
        self._broker.account, self._broker.live = other._account, other._broker.live
        self._broker.last_id = other._broker.last_id
        self._broker.volumes, self._last = other._broker.volumes, other._last
        self._ts, self._bar, self._day, self._unwritten = other._ts, other._bar, other._day, other._unwritten

    def snapshot(self) -> dict[str, Any] | None:
        """Return the whole state after a slot; null if the strategy has no snapshot.

        Events that the strategy writes during this are dropped, and its random generator is reset. Raises any error
        of the strategy.
        """
        if not self._started or self._start_events:
            return None
        rng_state, account = self.rng.getstate(), self._account
        try:
            with localcontext(self._context):
                strategy = self.strategy.snapshot()
        finally:
            self._take_events()
            self.rng.setstate(rng_state)
        if strategy is None:
            return None
        return {
            "strategy": strategy,
            "rng": None if rng_state == seeded_rng(self.config).getstate() else rng_state,
            "context": _context_to_json(self._context),
            "account": {name: getattr(account, name) for name in account.__slots__},
            "orders": orders_to_json(self._broker.live),
            "lastOrder": self._broker.last_id,
            "last": list(self._last),
            "volumes": self._broker.volumes,
            "peak": self._curve.peak,
            "chargedMs": self._costs.charged_ms,
            "progress": (self._ts, self._bar, self._day, self._unwritten),
        }

    def restore(self, stored: dict[str, Any]) -> None:
        """Set a fresh runner to a `snapshot`; raises `InvalidSnapshotError` or any error of the strategy.

        The strategy is started first, so that its attributes exist; events that it writes are dropped.
        """
        if tuple(stored["account"]["positions"]) != self.config.symbols:
            raise InvalidSnapshotError("other symbols")
        self._start()
        self._start_events = []
        with localcontext(self._context):
            self.strategy.restore(stored["strategy"])
        self._take_events()
        self.rng.setstate(stored["rng"] or seeded_rng(self.config).getstate())
        _restore_context(self._context, stored["context"])
        for name in self._account.__slots__:
            setattr(self._account, name, stored["account"][name])
        self._broker.live, self._broker.last_id = orders_from_json(stored["orders"]), stored["lastOrder"]
        self._last, self._broker.volumes = stored["last"], stored["volumes"]
        self._curve.peak = stored["peak"]
        self._costs.charged_ms = stored["chargedMs"]
        self._ts, self._bar, self._day, self._unwritten = stored["progress"]

    def _base(self, candles: Sequence[Candle]) -> Sequence[Candle]:
        return [candle for candle in candles if candle.timeframe == self.config.timeframe]

    def _call_strategy(self, candles: Sequence[Candle]) -> None:
        """Call the strategy once per candle."""
        self._trading = True
        for candle in candles:
            self.strategy.on_candle(candle)
        self._trading = False

    def _start(self) -> None:
        """Start the strategy; events it writes are logged at the close of the first slot."""
        self._started = True
        with localcontext(self._context):
            self.strategy.on_start()
        self._start_events = self._take_events()

    def _sample_equity(self, last: bool) -> None:
        """Write the equity of the first tick of a UTC day and of the last tick of the range (`record: trades`)."""
        day, before = self._ts // _DAY, self._day
        self._day = day
        self._unwritten = day == before and not last
        if self._unwritten:
            self._curve.update_peak()
        else:
            self._events.append(event.equity(self._ts, self._curve.render()))

    def _take_events(self) -> list[Event]:
        """Return the events collected since the last call."""
        events = self._events
        self._events = self._broker.events = []
        return events

    # Called by the strategy

    @property
    def positions(self) -> Mapping[str, Position]:
        """The position in each symbol, read-only."""
        return MappingProxyType(self._account.positions)

    @property
    def cash(self) -> Decimal:
        """Money not in positions."""
        return self._account.cash

    @property
    def equity(self) -> Decimal:
        """Cash and positions at the last closes, exact."""
        with localcontext(EXACT):
            return self._account.equity()

    @property
    def orders(self) -> tuple[OpenOrder, ...]:
        """The live orders, oldest first."""
        live = self._broker.live
        return tuple(map(_open_order, live)) if live else ()

    def place_order(self, sign: int, symbol: str | None, request: Mapping[str, Any]) -> int | None:
        """Place an order, which can fill from the next slot on (or at this close), and return its id."""
        self._require_trading()
        order = to_order(
            request, self._broker.last_id + 1, self._session_symbol(symbol), sign, self._bar, self.config.sizing
        )
        if self.warming:
            return None
        self._broker.last_id = order.id
        if order.trail is not None:
            self._set_trail(order, order.trail)
        self._broker.accept(self._ts, order, order.reason)
        return order.id

    def close(self, symbol: str | None, tag: str | None, reason: str) -> int | None:
        """Place a market order that can only reduce the position in `symbol`."""
        self._require_trading()
        position = self._account.positions[self._session_symbol(symbol)]
        if self.warming or not position.qty:
            return None
        order = Order(
            id=self._broker.next_id(),
            symbol=self._session_symbol(symbol),
            sign=-position.sign,
            type="market",
            qty=position.qty.copy_abs(),
            reduce_only=True,
            tag=None if tag is None else require_text(tag),
            reason=require_text(reason),
            first_bar=self._bar + 1,
        )
        self._broker.accept(self._ts, order, reason)
        return order.id

    def cancel(self, order_id: int | None, tag: str | None, reason: str) -> int:
        """Cancel live orders by id, by tag, or all, and return how many."""
        self._require_trading()
        chosen = [
            order
            for order in self._broker.live
            if (order_id is None or order.id == order_id) and (tag is None or order.tag == tag)
        ]
        if self.warming:
            return 0
        for order in chosen:
            self._broker.end(self._ts, order, "cancelled", require_text(reason))
        return len(chosen)

    def signal(
        self, direction: str, reason: str, symbol: str | None, indicators: Mapping[str, Decimal | float]
    ) -> None:
        """Write a signal; indicators without a value are left out."""
        if direction not in ("LONG", "SHORT", "EXIT"):
            raise ValueError(f"a signal is LONG, SHORT or EXIT, not {direction}")
        known = {name: value for name, value in indicators.items() if value is not None and not is_nan(value)}
        self._write(event.signal(self._ts, self._session_symbol(symbol), direction, require_text(reason), known))

    def log(self, message: str) -> None:
        """Write a line."""
        self._write(event.log(self._ts, str(message)))

    def plot(self, name: str, value: Decimal | float | None) -> None:
        """Write a point of a line; nothing for None and NaN."""
        if value is not None and not is_nan(value):
            self._write(event.plot(self._ts, require_text(name), value))

    def _write(self, written: Event) -> None:
        if not self.warming:
            self._events.append(written)

    def _require_trading(self) -> None:
        if not self._trading:
            raise RuntimeError("a strategy may trade in on_candle only")

    def _session_symbol(self, symbol: str | None) -> str:
        if symbol is None:
            return self.config.symbols[0]
        if symbol not in self._account.positions:
            raise ValueError(f"{symbol} is not a symbol of this session: {', '.join(self.config.symbols)}")
        return symbol

    def _set_trail(self, order: Order, trail: Trail) -> None:
        """Start a trailing stop behind the last close."""
        order.best = self._account.marks[order.symbol]
        if not order.best:
            raise ValueError(f"{order.symbol} has no candle yet, so a trailing stop has no price to start from")
        with localcontext(EXACT):
            order.stop = trail.level(order.best, order.sign)


def seeded_rng(config: BrokerConfig) -> Random:
    """Return the random generator of a session's strategy; the same inputs give the same numbers."""
    return Random(config.seed)  # noqa: S311 - repeatable on purpose


def _context_to_json(context: Context) -> dict[str, Any]:
    """Return a strategy's decimal context, which it may have changed, as JSON values."""
    signals = {kind: [signal.__name__ for signal, on in getattr(context, kind).items() if on] for kind in _SIGNALS}
    return {name: getattr(context, name) for name in _CONTEXT} | signals


def _restore_context(context: Context, stored: dict[str, Any]) -> None:
    for name in _CONTEXT:
        setattr(context, name, stored[name])
    for kind in _SIGNALS:
        for signal in (signals := getattr(context, kind)):
            signals[signal] = signal.__name__ in stored[kind]


def _real_candles(base: Sequence[Candle]) -> dict[str, Candle]:
    """Return the candles that can fill orders, by symbol."""
    return {candle.symbol: candle for candle in base if not candle.synthetic}


def _open_order(order: Order) -> OpenOrder:
    return OpenOrder(
        order.id,
        order.symbol,
        order.side,
        order.type,
        order.qty,
        order.filled,
        order.limit,
        order.stop,
        order.tag,
    )
