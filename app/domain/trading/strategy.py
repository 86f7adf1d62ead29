"""The base class of strategies: what a strategy is told, what it may ask and what it may do."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any, Literal, Unpack

from app.domain.market.candle import Candle
from app.domain.trading.account import Position
from app.domain.trading.order_request import OrderRequest
from app.domain.trading.parameters import parse, schema

if TYPE_CHECKING:
    from app.domain.trading.strategy_runner import OpenOrder, StrategyRunner

Direction = Literal["LONG", "SHORT", "EXIT"]


class Strategy:
    """Derive from this, give parameters as typed attributes and trade in `on_candle`.

    Public annotated attributes are parameters (`fast: int = 20`); state goes into attributes that begin with
    an underscore. Numbers may be int, float, Decimal or text, prices in quote money. A strategy has no clock:
    its time is the candle's, its chance `self.rng`. Arithmetic with decimals has 28 digits.
    """

    def __init__(self, **config: Any) -> None:
        for name, value in parse(type(self), Strategy, config).items():
            setattr(self, name, value)
        self._trader: StrategyRunner | None = None

    @classmethod
    def parameter_schema(cls) -> dict[str, Any]:
        """Return the JSON schema of the parameters."""
        return schema(cls, Strategy)

    def bind(self, trader: StrategyRunner) -> None:
        """Hand the strategy to the trader that runs it."""
        self._trader = trader

    # What a strategy is told

    def on_start(self) -> None:
        """Prepare; called once, before any candle, also before warm-up ones. May not trade."""

    def on_candle(self, candle: Candle) -> None:
        """Look at a closed candle, after the whole slot is known, and trade."""

    def on_stop(self) -> None:
        """Wind up; called once when the range is finished. May not trade."""

    # What a strategy may offer

    def snapshot(self) -> Any:
        """Return all that is remembered on `self`, so that a long session resumes at once; None offers none.

        Made of numbers, texts, decimals, candles, lists, tuples and dicts. It is a cache: a session without one is
        computed from its log.
        """
        return None

    def restore(self, kept: Any) -> None:
        """Remember again what `snapshot` returned; `on_start` was called before. May not trade."""

    # What a strategy may ask

    @property
    def symbols(self) -> tuple[str, ...]:
        """The session's symbols; where a symbol may be left out the first is meant."""
        return self._desk.config.symbols

    @property
    def timeframe(self) -> str:
        """The base timeframe of the session."""
        return self._desk.config.timeframe

    @property
    def warming(self) -> bool:
        """True while warm-up candles are shown: nothing is traded or written then."""
        return self._desk.warming

    @property
    def position(self) -> Position:
        """The position in the first symbol: signed `qty`, `avg_price`, `sign`, `cost`, `lots`."""
        return self._desk.positions[self.symbols[0]]

    @property
    def positions(self) -> Mapping[str, Position]:
        """The position in each symbol."""
        return self._desk.positions

    @property
    def cash(self) -> Decimal:
        """Money not in positions, in quote currency."""
        return self._desk.cash

    @property
    def equity(self) -> Decimal:
        """Cash and positions, each at its last close."""
        return self._desk.equity

    @property
    def orders(self) -> tuple[OpenOrder, ...]:
        """The live orders, oldest first."""
        return self._desk.orders

    @property
    def rng(self) -> Random:
        """Chance that repeats with the session."""
        return self._desk.rng

    # What a strategy may do

    def buy(self, symbol: str | None = None, **ticket: Unpack[OrderRequest]) -> int | None:
        """Give a buy order and return its id (None during warm-up).

        Size: `qty`, `cash` or `equity_pct`, else the session's sizing; what closes a short position comes on
        top of a size in money. Type: `limit`, `stop`, both (stop-limit), `trail` or `trail_pct` (trailing
        stop), none (market). Exits that come alive with the fill and cancel each other: `stop_loss`,
        `take_profit`. `good_for`: candles after which it expires. `tag` and `reason` stand in the log.
        """
        return self._desk.give(1, symbol, ticket)

    def sell(self, symbol: str | None = None, **ticket: Unpack[OrderRequest]) -> int | None:
        """Give a sell order, see `buy`; beyond what is held it opens a short position."""
        return self._desk.give(-1, symbol, ticket)

    def close(self, symbol: str | None = None, *, tag: str | None = None, reason: str = "close") -> int | None:
        """Close the position at the market; None when there is none."""
        return self._desk.close(symbol, tag, reason)

    def cancel(self, order_id: int | None = None, *, tag: str | None = None, reason: str = "strategy") -> int:
        """Cancel the order of this id, those with this tag, or all, and return how many."""
        return self._desk.cancel(order_id, tag, reason)

    def signal(
        self, direction: Direction, reason: str, symbol: str | None = None, /, **indicators: Decimal | float
    ) -> None:
        """Write what you see and the indicators you see it by; trades nothing."""
        self._desk.signal(direction, reason, symbol, indicators)

    def log(self, message: str) -> None:
        """Write a line into the session's log."""
        self._desk.log(message)

    def plot(self, name: str, value: Decimal | float | None) -> None:
        """Add a point to the line `name`; None adds nothing."""
        self._desk.plot(name, value)

    @property
    def _desk(self) -> StrategyRunner:
        if self._trader is None:
            raise RuntimeError("a strategy can act only in a session: not in __init__")
        return self._trader
