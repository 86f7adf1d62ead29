"""A trader restored from a snapshot gives the same events as one that was never interrupted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal, getcontext
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.event import Event
from app.domain.market.candle import Candle
from app.domain.session import Pace, SessionSpec
from app.domain.snapshot import SNAPSHOT_BYTES, InvalidSnapshotError, from_text, keep, put_back, to_text
from app.domain.tick import ReplayState, Slot, draft_tick, finish_tick
from app.domain.trading.handover import Stage, StrategyChain
from app.domain.trading.settings import BrokerConfig, Sizing
from app.domain.trading.strategy import Strategy
from app.domain.trading.strategy_runner import StrategyRunner
from app.strategies.registry import BUILT_IN
from tests.support.trading import MINUTE, bar, broker_config, finish

Slots = Sequence[tuple[Candle, ...]]


class Busy(Strategy):
    """Always has orders of every kind resting, and does some things by chance."""

    def on_start(self) -> None:
        self._bar = 0
        self._closes: dict[str, list[Decimal]] = {symbol: [] for symbol in self.symbols}
        self.log("started")

    def on_candle(self, candle: Candle) -> None:
        if candle.timeframe != self.timeframe:
            self.plot("longer", candle.close)
            return
        self._bar += 1
        self._closes[candle.symbol] = [*self._closes[candle.symbol][-4:], candle.close]
        symbol, close = candle.symbol, candle.close
        if self._bar % 7 == 0:
            self.cancel(tag="grid")
            self.buy(symbol, qty="0.3", limit=close - 1, tag="grid")
            self.sell(symbol, qty="0.2", stop=close - 2, limit=close - 3, tag="grid", good_for=9)
        if self._bar % 5 == 0:
            self.buy(symbol, cash=500, stop_loss=close - 2, take_profit=close + 2, reason="bracket")
        if self.positions[symbol].qty > 0 and self._bar % 11 == 0:
            self.sell(symbol, qty="0.1", trail=2, tag="trail")
        if self.rng.random() < 0.1:
            self.close(symbol, reason="chance")
        self.plot("mean", sum(self._closes[symbol]) / len(self._closes[symbol]))

    def snapshot(self) -> Any:
        return {"bar": self._bar, "closes": self._closes}

    def restore(self, snapshot: Any) -> None:
        self._bar, self._closes = snapshot["bar"], snapshot["closes"]


def walk(count: int, symbols: Sequence[str] = ("BTC",), seed: int = 3) -> Slots:
    rng, prices = Random(seed), dict.fromkeys(symbols, Decimal(100))
    slots = []
    for number in range(count):
        candles = []
        for symbol in symbols:
            before = prices[symbol]
            prices[symbol] = close = max(Decimal(5), before + Decimal(rng.randint(-200, 200)) / 100)
            high, low = max(before, close) + Decimal("0.5"), min(before, close) - Decimal("0.5")
            candles.append(bar(number, f"{before} {high} {low} {close}", symbol=symbol, volume=str(rng.randint(1, 3))))
        slots.append(tuple(candles))
    return slots


def restored(trader: StrategyRunner, fresh: StrategyRunner) -> StrategyRunner:
    snapshot = trader.snapshot()
    assert snapshot is not None
    fresh.restore(from_text(to_text(snapshot)))
    return fresh


def assert_same_from_everywhere(make: Callable[[], StrategyRunner], slots: Slots, every: int = 1) -> None:
    """Hold an undisturbed run against one that is restored behind every `every`-th slot."""
    whole, other = make(), make()
    for number, candles in enumerate(slots):
        assert other.on_slot(candles) == whole.on_slot(candles), number
        if number % every == 0:
            other = restored(other, make())
    assert finish(other, 0) == finish(whole, 0)


@pytest.mark.parametrize("slug", [slug for slug in BUILT_IN if slug not in ("none", "manual")])
@pytest.mark.parametrize("symbols", [("BTC",), ("BTC", "ETH")])
def test_every_built_in_goes_on_from_a_snapshot(slug: str, symbols: tuple[str, ...]) -> None:
    sized = broker_config(symbols=symbols, sizing=Sizing("equityPct", Decimal(40)), taker_fee_bps=Decimal("7.5"))
    config = {"side": "both"} if hasattr(BUILT_IN[slug], "side") else {}
    slots = walk(420, symbols)
    assert_same_from_everywhere(lambda: StrategyRunner(BUILT_IN[slug](**config), sized), slots, every=17)
    trader = StrategyRunner(BUILT_IN[slug](**config), sized)
    assert any(event.type == "order" for candles in slots for event in trader.on_slot(candles))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"symbols": ("BTC", "ETH")},
        {"volume_share": Decimal("0.1"), "leverage": None},
        {"record": "trades", "slippage_bps": Decimal(3)},
        {"fill": "same_close", "limit_fill": "touch", "taker_fee_bps": Decimal("12.5")},
    ],
)
def test_resting_orders_partial_fills_and_chance_come_back(changes: dict[str, Any]) -> None:
    on = broker_config(seed="x", **changes)
    assert_same_from_everywhere(lambda: StrategyRunner(Busy(), on), walk(150, on.symbols))


def test_a_state_with_longer_candles_under_way_comes_back() -> None:
    spec = SessionSpec(
        "x", "demo", ("BTC",), "1m", 0, 200 * MINUTE, 0, Pace(0), "fill", 0, extra_timeframes=("5m", "15m")
    )
    slots = [Slot(candles[0].open_time_ms, candles) for n, candles in enumerate(walk(200)) if n not in (31, 32, 77)]
    states, traders = (
        [ReplayState.initial(spec), ReplayState.initial(spec)],
        [StrategyRunner(Busy(), spec.broker_config) for _ in range(2)],
    )
    for slot in slots:
        drafts = [draft_tick(state, slot) for state in states]
        logs = [finish_tick(s, d, t.answer(d.view)) for s, d, t in zip(states, drafts, traders, strict=True)]
        assert logs[0] == logs[1]
        states[1] = ReplayState.restored(spec, from_text(to_text(states[1].snapshot())))
        traders[1] = restored(traders[1], StrategyRunner(Busy(), spec.broker_config))


def test_a_changed_decimal_context_comes_back() -> None:
    class Precise(Busy):
        def on_candle(self, candle: Candle) -> None:
            getcontext().prec = 50
            self.plot("third", 1 / Decimal(3))
            super().on_candle(candle)

    trader = StrategyRunner(Precise(), broker_config())
    for candles in walk(3):
        trader.on_slot(candles)
    again = restored(trader, StrategyRunner(Precise(), broker_config()))
    assert again._context.prec == trader._context.prec == 50


def test_what_a_strategy_does_while_its_snapshot_is_taken_leaves_no_trace() -> None:
    class Chatty(Busy):
        def snapshot(self) -> Any:
            self.log("taken")
            self.rng.random()
            return super().snapshot()

        def restore(self, snapshot: Any) -> None:
            self.signal("LONG", "restored")
            super().restore(snapshot)

    whole, other = StrategyRunner(Chatty(), broker_config()), StrategyRunner(Chatty(), broker_config())
    for candles in walk(50):
        assert other.on_slot(candles) == whole.on_slot(candles)
        other = restored(other, StrategyRunner(Chatty(), broker_config()))


def test_a_strategy_that_offers_none_has_none() -> None:
    class Plain(Strategy):
        pass

    trader = StrategyRunner(Plain(), broker_config())
    trader.on_slot(walk(1)[0])
    assert trader.snapshot() is None
    assert StrategyRunner(Busy(), broker_config()).snapshot() is None, "it has not begun"


def test_a_fork_has_a_snapshot_once_its_own_turn_has_come() -> None:
    turns = [Stage("a", {}, broker_config(), 9 * MINUTE), Stage("b", {}, broker_config())]

    def traders() -> StrategyChain:
        return StrategyChain(
            turns,
            [StrategyRunner(Busy(), broker_config()), StrategyRunner(Busy(), broker_config(taker_fee_bps=Decimal(5)))],
        )

    whole, other = traders(), traders()
    spec = SessionSpec("x", "demo", ("BTC",), "1m", 0, 100 * MINUTE, 0, Pace(0), "fail", 0)
    state = ReplayState.initial(spec)
    for number, candles in enumerate(walk(60)):
        shown = draft_tick(state, Slot(candles[0].open_time_ms, candles)).view
        assert whole.answer(shown) == other.answer(shown)
        snapshot = other.snapshot()
        assert (snapshot is None) == (number < 10), "its first words are still to be written"
        if snapshot is not None:
            other = traders()
            other.restore(from_text(to_text(snapshot)))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
)


@given(VALUES)
def test_what_is_spelled_is_read_back_to_the_last_digit(value: Any) -> None:
    assert repr(from_text(to_text(value))) == repr(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '["os.system","x"]',
        '["decimal","x"]',
        '["Lot",1]',
        '["dict",[1]]',
        "[" * 100_000,
        '["dict",[["list"],1]]',
    ],
)
def test_what_is_no_snapshot_is_refused(text: str) -> None:
    with pytest.raises(InvalidSnapshotError):
        from_text(text)


@pytest.mark.parametrize(
    "value", [{1, 2}, object(), float("nan"), ["x" * SNAPSHOT_BYTES], BrokerConfig(), Event(1, "a", "b")]
)
def test_what_cannot_be_read_back_is_not_spelled(value: Any) -> None:
    with pytest.raises(InvalidSnapshotError):
        to_text(value)


def test_values_are_not_put_into_an_object_of_another_kind() -> None:
    class One:
        def __init__(self) -> None:
            self.a = 1

    class Other:
        def __init__(self) -> None:
            self.b = 1

    with pytest.raises(InvalidSnapshotError):
        put_back(Other(), keep(One()))
