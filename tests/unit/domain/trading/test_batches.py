"""A trader answers many slots at once as it answers them one by one."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal, getcontext, localcontext, setcontext

import pytest

from app.domain.event import Event
from app.domain.market.candle import Candle
from app.domain.trading.handover import Stage, StrategyChain
from app.domain.trading.settings import BrokerConfig
from app.domain.trading.strategy import Strategy
from app.domain.trading.strategy_runner import SlotView, StrategyRunner
from app.strategies.registry import BUILT_IN
from tests.support.trading import bars, broker_config, of
from tests.unit.domain.test_snapshot import walk

SIZES = (1, 7, 1000)


def shown(slots: Sequence[Sequence[Candle]]) -> list[SlotView]:
    """Return slots as a trader sees them, the last one ending the range."""
    return [
        SlotView(candles[0].open_time_ms, candles, number == len(slots), candles[0].open_time_ms)
        for number, candles in enumerate(slots, 1)
    ]


def in_batches(trader: StrategyRunner | StrategyChain, slots: Sequence[SlotView], size: int) -> list[list[Event]]:
    answers: list[list[Event]] = []
    for start in range(0, len(slots), size):
        trader.answer_all(slots[start : start + size], answers)
    return answers


@pytest.mark.parametrize("slug", [slug for slug in BUILT_IN if slug not in ("none", "manual")])
@pytest.mark.parametrize(
    "on",
    [
        broker_config(symbols=("BTC", "ETH"), taker_fee_bps=Decimal("7.5"), leverage=Decimal(3)),
        broker_config(fill="same_close", record="trades"),
    ],
    ids=["full", "trades"],
)
def test_batches_change_nothing(slug: str, on: BrokerConfig) -> None:
    config = {"side": "both"} if hasattr(BUILT_IN[slug], "side") else {}
    slots = shown(walk(300, on.symbols))
    single = StrategyRunner(BUILT_IN[slug](**config), on)
    expected = [single.answer(slot) for slot in slots]
    assert any(of(answer, "fill") for answer in expected)
    for size in SIZES:
        assert in_batches(StrategyRunner(BUILT_IN[slug](**config), on), slots, size) == expected


class Careless(Strategy):
    """Leaves decimal contexts behind: its own changed, and once another one in its place."""

    def on_candle(self, candle: Candle) -> None:
        self.plot("third", Decimal(1) / 3)
        if candle.close == 103:
            getcontext().prec = 5
        if candle.close == 105:
            setcontext(Context(prec=2))


def test_what_a_strategy_does_to_its_decimals_does_not_depend_on_batches() -> None:
    slots = shown([(candle,) for candle in bars(*(str(100 + number) for number in range(12)))])
    with localcontext(Context(prec=7)):
        logs = [in_batches(StrategyRunner(Careless(), broker_config()), slots, size) for size in SIZES]
        assert getcontext().prec == 7
    assert logs[0] == logs[1] == logs[2]
    thirds = [str(plot["value"]) for answer in logs[0] for plot in of(answer, "plot")]
    assert thirds == ["0.3333333333"] * 4 + ["0.33333"] * 8


class Faulty(Strategy):
    """Raises at the fourth candle, behind an order."""

    def on_candle(self, candle: Candle) -> None:
        self.buy(qty=1)
        if candle.close == 103:
            raise RuntimeError("no more")


@pytest.mark.parametrize("place", [0, 1])
def test_what_came_before_a_fault_is_answered(place: int) -> None:
    runner = StrategyRunner(Faulty(), broker_config())
    trader = (runner, StrategyChain([Stage("faulty", {}, broker_config())], [runner]))[place]
    answers: list[list[Event]] = []
    before = getcontext()
    with pytest.raises(RuntimeError, match="no more"):
        trader.answer_all(shown([(candle,) for candle in bars("100", "101", "102", "103", "104")]), answers)
    assert getcontext() is before
    assert [len(of(answer, "equity")) for answer in answers] == [1, 1, 1]


def test_a_fork_has_its_turn_within_a_batch() -> None:
    slots = shown(walk(40))
    turns = [
        Stage("x", {}, broker_config(), to_cursor_ms=slots[19].open_time_ms),
        Stage("x", {}, broker_config(taker_fee_bps=Decimal(50))),
    ]

    def traders() -> StrategyChain:
        return StrategyChain(
            turns, [StrategyRunner(BUILT_IN["sma_cross"](fast=2, slow=3), turn.broker_config) for turn in turns]
        )

    logs = [in_batches(traders(), slots, size) for size in SIZES]
    assert logs[0] == logs[1] == logs[2]
    fees = [fill["fee"] > 0 for answer in logs[0] for fill in of(answer, "fill")]
    assert set(fees) == {False, True}
    assert fees == sorted(fees)


class Lower(Strategy):
    """Spells exponents in small letters, and leaves an order to expire."""

    def on_candle(self, candle: Candle) -> None:
        getcontext().capitals = 0
        self.buy(qty=Decimal("1E-8"), limit=Decimal("1E-9"))


def test_orders_that_expire_are_spelled_as_all_others() -> None:
    (answer,) = in_batches(StrategyRunner(Lower(), broker_config()), shown([(candle,) for candle in bars("1")]), 1)
    bodies = [event.body for event in answer if event.type == "order"]
    assert ['"status":"expired"' in body for body in bodies] == [False, True]
    assert '"qty":0.00000001,"limitPrice":0.000000001,' in bodies[1]
