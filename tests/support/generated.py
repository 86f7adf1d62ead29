"""Made-up candles, settings and orders for properties that must hold whatever they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from hypothesis import strategies as st

from app.domain.event import Event
from app.domain.market.candle import Candle
from app.domain.trading.settings import BrokerConfig, Sizing
from tests.support.trading import MINUTE, Script, play

SYMBOLS = ("AAA", "BBB")
SIZINGS = (
    Sizing("equityPct", Decimal(100)),
    Sizing("equityPct", Decimal(250)),
    Sizing("cash", Decimal(500), Decimal("0.5")),
)


class Run(NamedTuple):
    """A run's candles by slot, settings and events."""

    slots: list[list[Candle]]
    config: BrokerConfig
    events: list[Event]


coarse = st.integers(90, 110).map(Decimal)
fine = st.decimals("1", "200", places=2)
numbers = st.decimals("0.001", "300", places=3)


@st.composite
def candle(draw: st.DrawFn, symbol: str, slot: int, prices: st.SearchStrategy[Decimal]) -> Candle:
    """Return a candle, sometimes a synthetic one."""
    low, first, second, high = sorted(draw(st.lists(prices, min_size=4, max_size=4)))
    flipped = draw(st.booleans())
    synthetic = draw(st.integers(0, 9)) == 0
    body = (low, low, low, low) if synthetic else (second, high, low, first) if flipped else (first, high, low, second)
    volume = Decimal(0) if synthetic else draw(st.decimals("0", "500", places=1))
    return Candle(symbol, "1m", slot * MINUTE, (slot + 1) * MINUTE, *body, volume, synthetic)


@st.composite
def slots(draw: st.DrawFn, symbols: Sequence[str], prices: st.SearchStrategy[Decimal]) -> list[list[Candle]]:
    """Return slots in which, but for the first, symbols may be missing."""
    actions = []
    for slot in range(draw(st.integers(2, 12))):
        present = [symbol for symbol in symbols if slot == 0 or draw(st.integers(0, 5))]
        if present:
            actions.append([draw(candle(symbol, slot, prices)) for symbol in present])
    return actions


@st.composite
def order_arguments(draw: st.DrawFn, prices: st.SearchStrategy[Decimal]) -> dict[str, Any]:
    """Return the arguments of a buy or sell."""
    kind = draw(st.sampled_from(["market", "limit", "stop", "stop_limit", "trail", "trail_pct"]))
    arguments: dict[str, Any] = {}
    size = draw(st.sampled_from(["qty", "cash", "equity_pct", None]))
    if size:
        arguments[size] = draw(numbers)
    if kind in ("limit", "stop_limit"):
        arguments["limit"] = draw(prices)
    if kind in ("stop", "stop_limit"):
        arguments["stop"] = draw(prices)
    if kind in ("trail", "trail_pct"):
        arguments[kind] = draw(st.decimals("0.1", "50", places=1))
    for name in ("stop_loss", "take_profit"):
        if draw(st.integers(0, 2)) == 0:
            arguments[name] = draw(prices)
    if draw(st.booleans()):
        arguments["good_for"] = draw(st.integers(1, 4))
    return arguments


@st.composite
def action(draw: st.DrawFn, symbols: Sequence[str], prices: st.SearchStrategy[Decimal]) -> Callable[[Script], Any]:
    """Return something a strategy does: an order most of the time."""
    symbol = draw(st.sampled_from(symbols))
    what = draw(st.integers(0, 9))
    if what == 0:
        return lambda s: s.close(symbol)
    if what == 1:
        return lambda s: s.cancel(s.orders[0].id if s.orders else None)
    if what == 2:  # just about all, or twice, or the reverse of what is held
        share, sign = draw(st.sampled_from(["0.999", "1", "2", "2.5"])), draw(st.booleans())
        return lambda s: _about(s, symbol, Decimal(share), buys=sign)
    arguments = draw(order_arguments(prices))
    return lambda s: (s.buy if what % 2 else s.sell)(symbol, **arguments)


def _about(script: Script, symbol: str, share: Decimal, *, buys: bool) -> Any:
    """Order about as much as the equity carries, or twice the position."""
    held = abs(script.positions[symbol].qty)
    qty = 2 * held if held and share == 2 else round(script.equity / 100 * share, 3)
    return (script.buy if buys else script.sell)(symbol, qty=qty) if qty > 0 else None


def all_of(todo: list[Callable[[Script], Any]]) -> Callable[[Script], Any]:
    """Return all of them as one."""
    return lambda s: [do(s) for do in todo]


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """Return a run of one or two symbols over at most 12 slots."""
    symbols = SYMBOLS[: draw(st.integers(1, 2))]
    prices = draw(st.sampled_from([coarse, fine]))
    candles = draw(slots(symbols, prices))
    several = st.lists(action(symbols, prices), max_size=3)
    actions = {number: all_of(draw(several)) for number in range(len(candles))}
    on = BrokerConfig(
        symbols=symbols,
        timeframe="1m",
        initial_cash=Decimal(10_000),
        maker_fee_bps=draw(st.decimals("0", "30", places=1)),
        taker_fee_bps=draw(st.decimals("0", "30", places=1)),
        slippage_bps=draw(st.sampled_from([Decimal(0), Decimal("2.5"), Decimal(100)])),
        leverage=draw(st.sampled_from([None, Decimal(1), Decimal("2.5")])),
        fill=draw(st.sampled_from(["next_open", "same_close"])),
        limit_fill=draw(st.sampled_from(["through", "touch"])),
        sizing=draw(st.sampled_from(SIZINGS)),
        volume_share=draw(st.sampled_from([None, None, Decimal("0.1"), Decimal(1)])),
        rules=(rules := draw(st.sampled_from([1, 2, 2]))),
        entry_candle_profit=draw(st.sampled_from(["never", "proven"])) if rules > 1 else "never",
    )
    return Run(candles, on, play(candles, actions, on))
