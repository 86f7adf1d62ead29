"""The base class of strategies: the methods they implement, and what they can read and do."""

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
    """Derive from this, declare parameters as typed attributes and trade in `on_candle`.

    Public annotated attributes are parameters (`fast: int = 20`); state goes into attributes that begin with
    an underscore. Numbers may be int, float, Decimal or text, prices in quote money. A strategy has no clock:
    its time is the candle's, its random numbers come from `self.rng`. Decimals are computed with 28 digits.
    """

    def __init__(self, **config: Any) -> None:
        for name, value in parse(type(self), Strategy, config).items():
            setattr(self, name, value)
        self.__runner: StrategyRunner | None = None

    @classmethod
    def parameter_schema(cls) -> dict[str, Any]:
        """Return the JSON schema of the parameters."""
        return schema(cls, Strategy)

    def bind(self, runner: StrategyRunner) -> None:
        """Connect the strategy to the runner that runs it."""
        self.__runner = runner

    # What a strategy implements

    def on_start(self) -> None:
        """Prepare; called once, before any candle, also before warm-up ones. May not trade."""

    def on_candle(self, candle: Candle) -> None:
        """Handle a closed candle and trade; called when the whole slot is known."""

    def on_stop(self) -> None:
        """Clean up; called once when the range is finished. May not trade."""

    # What a strategy may implement

    def snapshot(self) -> Any:
        """Return the state of the strategy, so that a long session resumes quickly; None: no snapshots.

        It may consist of numbers, texts, decimals, candles, lists, tuples and dicts. It is only a cache: without a
        snapshot the state is recomputed from the log.
        """
        return None

    def restore(self, stored: Any) -> None:
        """Set the state that `snapshot` returned; `on_start` was called before. May not trade."""

    # What a strategy can read

    @property
    def symbols(self) -> tuple[str, ...]:
        """The session's symbols; the first one is the default of `symbol` arguments."""
        return self.__context.config.symbols

    @property
    def timeframe(self) -> str:
        """The base timeframe of the session."""
        return self.__context.config.timeframe

    @property
    def warming(self) -> bool:
        """True during warm-up candles, when orders and events are ignored."""
        return self.__context.warming

    @property
    def position(self) -> Position:
        """The position in the first symbol: signed `qty`, `avg_price`, `sign`, `cost`, `lots`."""
        return self.__context.positions[self.symbols[0]]

    @property
    def positions(self) -> Mapping[str, Position]:
        """The position in each symbol."""
        return self.__context.positions

    @property
    def cash(self) -> Decimal:
        """Money not in positions, in quote currency."""
        return self.__context.cash

    @property
    def equity(self) -> Decimal:
        """Cash and positions, each at its last close."""
        return self.__context.equity

    @property
    def orders(self) -> tuple[OpenOrder, ...]:
        """The live orders, oldest first."""
        return self.__context.orders

    @property
    def rng(self) -> Random:
        """Seeded random generator; the same for the same session inputs."""
        return self.__context.rng

    # What a strategy can do

    def buy(self, symbol: str | None = None, **request: Unpack[OrderRequest]) -> int | None:
        """Place a buy order and return its id (None during warm-up).

        Size: `qty`, `cash` or `equity_pct`, else the session's sizing; a size in money is added to the quantity that
        closes a short position. Type: `limit`, `stop`, both (stop-limit), `trail` or `trail_pct` (trailing stop), none
        (market).
        `stop_loss` and `take_profit` are exits placed when the order fills; one cancels the other. `good_for`: the
        number of candles after which it expires. `tag` and `reason` are written to the log.
        """
        return self.__context.place_order(1, symbol, request)

    def sell(self, symbol: str | None = None, **request: Unpack[OrderRequest]) -> int | None:
        """Place a sell order, see `buy`; a size above the position opens a short position."""
        return self.__context.place_order(-1, symbol, request)

    def close(self, symbol: str | None = None, *, tag: str | None = None, reason: str = "close") -> int | None:
        """Close the position with a market order; None when there is no position."""
        return self.__context.close(symbol, tag, reason)

    def cancel(self, order_id: int | None = None, *, tag: str | None = None, reason: str = "strategy") -> int:
        """Cancel the order of this id, those with this tag, or all, and return how many."""
        return self.__context.cancel(order_id, tag, reason)

    def signal(
        self, direction: Direction, reason: str, symbol: str | None = None, /, **indicators: Decimal | float
    ) -> None:
        """Write a signal event with its indicators; it places no order."""
        self.__context.signal(direction, reason, symbol, indicators)

    def log(self, message: str) -> None:
        """Write a message to the session's log."""
        self.__context.log(message)

    def plot(self, name: str, value: Decimal | float | None) -> None:
        """Add a point to the line `name`; None and NaN add nothing."""
        self.__context.plot(name, value)

    @property
    def __context(self) -> StrategyRunner:
        if self.__runner is None:
            raise RuntimeError("a strategy can act only in a session: not in __init__")
        return self.__runner
