"""The broker against a second one, over random candles and orders of every kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from app.domain.event import Event
from app.domain.market.candle import Candle
from app.domain.trading.settings import BrokerConfig, Sizing
from app.domain.trading.strategy_runner import StrategyRunner
from tests.support.second_broker import Action, Filled, SecondBroker
from tests.support.trading import MINUTE, Script, broker_config, finish, of

KINDS = ("market", "market", "limit", "stop", "stop_limit", "stop_limit", "trail", "trail_pct")
ENDS = {"filled", "cancelled", "rejected", "expired"}
ZERO = Decimal(0)
FIRST = 24 * 60 - 8
"""The first minute of all candles: midnight, when funding and interest are due, comes after eight of them."""


def candles_of(chance: Random, tick: Decimal) -> list[Candle]:
    """Return a walk on a grid, so that prices often meet exactly; some candles are synthetic."""

    def step(most: int) -> Decimal:
        return tick * chance.randint(-int(most / tick), int(most / tick))

    price, candles = Decimal(100), []
    for number in range(chance.randint(5, 40)):
        synthetic = number > 0 and chance.random() < 0.06
        opened = price if synthetic or chance.random() < 0.6 else max(Decimal(50), price + step(4))
        close = price if synthetic else max(Decimal(50), opened + step(4))
        wick = ZERO if synthetic else abs(step(3))
        high, low = max(opened, close) + wick, min(opened, close) - (ZERO if synthetic else abs(step(3)))
        volume = ZERO if synthetic else Decimal(chance.choice([0, 5, 50, 1000, chance.randint(1, 400)]))
        start = (FIRST + number) * MINUTE
        candles.append(Candle("BTC", "1m", start, start + MINUTE, opened, high, low, close, volume, synthetic))
        price = close
    return candles


def ticket_of(chance: Random, near: Callable[[], Decimal]) -> dict[str, Any]:
    """Return a ticket with prices near the last close."""
    kind = chance.choice(KINDS)
    arguments: dict[str, Any] = {}
    if kind in ("limit", "stop_limit"):
        arguments["limit"] = near()
    if kind in ("stop", "stop_limit"):
        arguments["stop"] = near()
    if kind in ("trail", "trail_pct"):
        arguments[kind] = Decimal(chance.randint(1, 60)) / 10
    size = chance.choice(["qty", "cash", "equity_pct", None])
    if size is not None:
        arguments[size] = Decimal(chance.randint(1, {"qty": 120, "cash": 12_000, "equity_pct": 250}[size]))
    for exit_ in ("stop_loss", "take_profit"):
        if chance.random() < 0.45:
            arguments[exit_] = near()
    if chance.random() < 0.4:
        arguments["good_for"] = chance.randint(1, 5)
    return arguments


def actions_of(chance: Random, candles: Sequence[Candle], tick: Decimal) -> dict[int, list[Action]]:
    """Return what is done at each candle's close."""
    actions: dict[int, list[Action]] = {}
    for number, candle in enumerate(candles):

        def near(close: Decimal = candle.close) -> Decimal:
            return max(Decimal(1), close + tick * chance.randint(-int(6 / tick), int(6 / tick)))

        todo: list[Action] = []
        for _ in range(chance.choice([0, 0, 1, 1, 2, 3])):
            dice = chance.random()
            if dice < 0.08:
                todo.append(("close", None))
            elif dice < 0.14:
                todo.append(("cancel", chance.randint(1, 2 * number + 3)))
            else:
                todo.append((chance.choice(["buy", "sell"]), ticket_of(chance, near)))
        actions[number] = todo
    return actions


def config_of(chance: Random, rules: int) -> BrokerConfig:
    """Return a config of every kind."""
    sizes = [
        Sizing("equityPct", Decimal(100)),
        Sizing("equityPct", Decimal(50), Decimal(1)),
        Sizing("cash", Decimal(3000), Decimal("0.1")),
    ]
    return broker_config(
        maker_fee_bps=chance.choice([ZERO, Decimal(2), Decimal("7.5")]),
        taker_fee_bps=chance.choice([ZERO, Decimal(10), Decimal(100)]),
        slippage_bps=chance.choice([ZERO, ZERO, Decimal("2.5"), Decimal(50)]),
        leverage=chance.choice([None, Decimal(1), Decimal(3)]),
        fill=chance.choice(["next_open", "same_close"]),
        limit_fill=chance.choice(["through", "touch"]),
        sizing=chance.choice(sizes),
        volume_share=chance.choice([None, None, Decimal("0.1"), Decimal(1)]),
        rules=rules,
        entry_candle_profit=chance.choice(["never", "proven"]) if rules > 1 else "never",
        funding_bps=chance.choice([ZERO, ZERO, Decimal(20), Decimal("-7.5")]) if rules > 1 else ZERO,
        maintenance_margin_pct=chance.choice([None, None, Decimal(5), Decimal(30)]) if rules > 1 else None,
        borrow_bps_per_day=chance.choice([ZERO, ZERO, Decimal(30)]) if rules > 1 else ZERO,
    )


def run(candles: Sequence[Candle], actions: dict[int, list[Action]], on: BrokerConfig) -> list[Event]:
    """Return the events of the broker under test."""

    def doing(todo: list[Action]) -> Callable[[Script], None]:
        def do(script: Script) -> None:
            for what, arguments in todo:
                if what == "cancel":
                    script.cancel(arguments)
                else:
                    getattr(script, what)(**(arguments or {}))

        return do

    trader = StrategyRunner(Script().follow({number: doing(todo) for number, todo in actions.items()}), on)
    events = [event for candle in candles for event in trader.on_slot((candle,))]
    return events + finish(trader, events[-1].ts)


def filled(event: Event) -> Filled:
    """Return a fill event as the second broker writes it."""
    data = event.payload
    bar = event.ts // MINUTE - FIRST - (data["policy"] == "same_close")
    numbers = [Decimal(data[name]) for name in ("qty", "price", "fee", "slippage")]
    return Filled(bar, data["orderId"], 1 if data["side"] == "BUY" else -1, *numbers, data["policy"])


@pytest.mark.parametrize("rules", [1, 2])
@pytest.mark.parametrize("seed", range(0, 1000, 100))
def test_two_brokers_fill_the_same_orders_at_the_same_prices(seed: int, rules: int) -> None:
    for case_seed in range(seed, seed + 100):
        chance = Random(case_seed)
        tick = chance.choice([Decimal(1), Decimal("0.5"), Decimal("0.01")])
        candles = candles_of(chance, tick)
        actions, on = actions_of(chance, candles, tick), config_of(chance, rules)
        events, second = run(candles, actions, on), SecondBroker(on, candles, actions)
        assert [filled(event) for event in events if event.type == "fill"] == second.fills, f"seed {case_seed}"
        ends = {order["orderId"]: order["status"] for order in of(events, "order") if order["status"] in ENDS}
        assert ends == second.ends, f"seed {case_seed}"
        assert of(events, "equity")[-1]["cash"] == second.cash, f"seed {case_seed}"
