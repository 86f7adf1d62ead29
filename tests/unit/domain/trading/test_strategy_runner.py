"""The order of events, warm-up, what is recorded, and what a trader leaves behind."""

from __future__ import annotations

import pickle
from decimal import Decimal, getcontext, localcontext

import pytest

from app.domain.market.candle import Candle
from app.domain.trading.strategy import Strategy
from app.domain.trading.strategy_runner import SlotView, StrategyRunner
from app.strategies.registry import BUILT_IN
from tests.support.trading import MINUTE, Script, bar, bars, broker_config, fills, finish, of, play

DAY = 86_400_000


def drive(trader: StrategyRunner, candles: list[Candle]) -> list:
    return [event for candle in candles for event in trader.on_slot((candle,))]


class Teller(Strategy):
    """Writes one of everything."""

    def on_start(self) -> None:
        self.log("start")

    def on_candle(self, candle: Candle) -> None:
        self.signal("LONG", "up", price=candle.close)
        self.buy(qty=1, tag="t", reason="because")
        self.log("line")
        self.plot("line", 1 / 3)
        self.plot("nothing yet", None)

    def on_stop(self) -> None:
        self.log("stop")


def test_a_tick_has_two_instants_and_their_order() -> None:
    trader = StrategyRunner(Teller(), broker_config())
    first, second = (trader.on_slot((candle,)) for candle in bars("100", "101"))
    assert [(event.ts, event.type) for event in first] == [
        (MINUTE, kind) for kind in ("log", "signal", "order", "log", "plot", "equity")
    ]
    assert [(event.ts, event.type) for event in second] == [
        (MINUTE, "order"),
        (MINUTE, "fill"),
        *((2 * MINUTE, kind) for kind in ("signal", "order", "log", "plot", "equity")),
    ]
    assert of(first, "signal") == [{"symbol": "BTC", "direction": "LONG", "reason": "up", "indicators": {"price": 100}}]
    assert of(first, "plot") == [{"name": "line", "value": Decimal("0.3333333333")}]
    assert of(first, "order") == [
        {
            "orderId": 1,
            "symbol": "BTC",
            "side": "BUY",
            "type": "market",
            "qty": 1,
            "status": "accepted",
            "reason": "because",
            "tag": "t",
        }
    ]


def test_the_end_of_a_range_stops_the_strategy_and_lets_orders_expire() -> None:
    trader = StrategyRunner(Teller(), broker_config())
    drive(trader, bars("100"))
    end = finish(trader, MINUTE)
    assert [(event.ts, event.type) for event in end] == [(MINUTE, "log"), (MINUTE, "order")]
    assert of(end, "order")[0]["status"] == "expired"


def test_warm_up_shows_candles_and_writes_and_trades_nothing() -> None:
    class Warmed(Teller):
        """Counts."""

        def on_start(self) -> None:
            super().on_start()
            self.seen: list[bool] = []

        def on_candle(self, candle: Candle) -> None:
            self.seen.append(self.warming)
            assert self.buy(qty=1) is None or not self.warming
            super().on_candle(candle)

    strategy = Warmed()
    trader = StrategyRunner(strategy, broker_config())
    trader.warm((bar(0, "90"),))
    events = trader.on_slot((bar(1, "100"),))
    assert strategy.seen == [True, False]
    assert [event.type for event in events] == ["log", "order", "signal", "order", "log", "plot", "equity"]
    assert of(events, "equity")[0]["cash"] == 10_000


def test_a_strategy_may_take_another_on_candle_from_the_next_candle_on() -> None:
    class Turning(Strategy):
        """Uses one method first and another later."""

        def on_candle(self, candle: Candle) -> None:
            self.log(f"first {candle.symbol}")
            self.on_candle = self.then  # type: ignore[method-assign]

        def then(self, candle: Candle) -> None:
            self.log(f"then {candle.symbol}")

    trader = StrategyRunner(Turning(), broker_config(symbols=("BTC", "ETH")))
    events = trader.on_slot((bar(0, "1"), bar(0, "1", symbol="ETH")))
    assert [entry["message"] for entry in of(events, "log")] == ["first BTC", "then ETH"]


def test_a_strategy_may_trade_in_on_candle_only() -> None:
    class Early(Strategy):
        """Trades too soon."""

        def on_start(self) -> None:
            self.buy()

    with pytest.raises(RuntimeError, match="may trade in on_candle only"):
        StrategyRunner(Early(), broker_config()).on_slot((bar(0, "1"),))


def test_equity_is_cash_and_position_at_the_close() -> None:
    events = play(bars("100", "100 120 90 110"), {0: lambda s: s.buy(qty=2)}, broker_config(taker_fee_bps=Decimal(10)))
    assert of(events, "equity") == [
        {
            "cash": 10_000,
            "positionQty": 0,
            "positionValue": 0,
            "equity": 10_000,
            "realizedPnl": 0,
            "unrealizedPnl": 0,
            "feesPaid": 0,
            "peakEquity": 10_000,
            "drawdownPct": 0,
        },
        {
            "cash": Decimal("9799.8"),
            "positionQty": 2,
            "positionValue": 220,
            "equity": Decimal("10019.8"),
            "realizedPnl": 0,
            "unrealizedPnl": 20,
            "feesPaid": Decimal("0.2"),
            "peakEquity": Decimal("10019.8"),
            "drawdownPct": 0,
        },
    ]


def test_drawdown_is_the_fall_from_the_highest_equity_in_percent_to_ten_decimals() -> None:
    events = play(bars("100", "100 100 100 120", "110"), {0: lambda s: s.buy(qty=3)})
    last = of(events, "equity")[-1]
    assert (last["peakEquity"], last["equity"]) == (10_060, 10_030)
    assert last["drawdownPct"] == Decimal("0.2982107356")


def test_record_trades_keeps_the_first_equity_of_each_day_and_the_last_of_the_range() -> None:
    step = DAY // 4
    candles = [
        Candle("BTC", "6h", at, at + step, *[Decimal(100 + at // step)] * 4, Decimal(1))
        for at in range(0, 3 * DAY, step)
    ]
    actions = {2: lambda s: s.buy(qty=1)}
    full = drive(StrategyRunner(Script().follow(actions), broker_config()), candles)
    trader = StrategyRunner(Script().follow(actions), broker_config(record="trades"))
    some = drive(trader, candles[:-1]) + trader.answer(
        SlotView(candles[-1].open_time_ms, candles[-1:], True, candles[-1].open_time_ms)
    )
    assert [event for event in full if event.type != "equity"] == [event for event in some if event.type != "equity"]
    sampled = [event for event in full if event.type == "equity" and event.ts % DAY in (step, 0)]
    first_of_day = [sampled[0], *(event for event in sampled if event.ts % DAY == 0)]
    assert [event for event in some if event.type == "equity"] == first_of_day


def test_record_trades_writes_a_left_out_last_equity_when_the_range_ends_in_a_gap() -> None:
    trader = StrategyRunner(Script().follow({}), broker_config(record="trades"))
    assert len(of(drive(trader, bars("1", "1", "1")), "equity")) == 1
    assert len(of(finish(trader, 3 * MINUTE), "equity")) == 1


def test_the_callers_decimal_context_neither_matters_nor_changes() -> None:
    actions = {0: lambda s: s.buy(qty="0.123456789"), 2: lambda s: s.close()}
    candles = bars("1.23456789", "9.87654321", "3.33333333", "7.77777777")
    wanted = play(candles, actions)
    with localcontext() as narrow:
        narrow.prec = 3
        assert play(candles, actions) == wanted
        assert getcontext().prec == 3


def test_a_strategys_own_decimal_context_lasts_for_the_session() -> None:
    class Wide(Strategy):
        """Divides with 50 digits."""

        def on_start(self) -> None:
            getcontext().prec = 28

        def on_candle(self, candle: Candle) -> None:
            self.log(len(str(candle.close / 3)))

    assert of(drive(StrategyRunner(Wide(), broker_config()), bars("1", "1")), "log") == [{"message": "30"}] * 2


def test_chance_repeats_with_the_seed() -> None:
    class Gambler(Strategy):
        """Logs a draw."""

        def on_candle(self, candle: Candle) -> None:
            self.log(self.rng.random())

    draws = [
        of(drive(StrategyRunner(Gambler(), broker_config(seed=seed)), bars("1", "1")), "log")
        for seed in ("a", "a", "b")
    ]
    assert draws[0] == draws[1] != draws[2]


def test_a_trader_can_be_kept_and_taken_up_again_at_any_candle() -> None:
    candles = bars(*(str(100 + (number * 7) % 13) for number in range(80)))
    for slug, config in (("sma_cross", {"fast": 2, "slow": 5}), ("keltner_revert", {"n": 5, "atr": 3, "width": 0.1})):
        whole = drive(StrategyRunner(BUILT_IN[slug](side="both", **config), broker_config()), candles)
        trader = StrategyRunner(BUILT_IN[slug](side="both", **config), broker_config())
        halves = drive(trader, candles[:37])
        halves += drive(pickle.loads(pickle.dumps(trader)), candles[37:])
        assert halves == whole
        assert of(whole, "trade")


def test_a_successor_takes_over_cash_position_and_resting_orders() -> None:
    parent = StrategyRunner(Script().follow({0: lambda s: (s.buy(qty=1), s.sell(qty=1, limit=110))}), broker_config())
    before = drive(parent, bars("100", "100"))
    successor = StrategyRunner(Script().follow({}), broker_config(maker_fee_bps=Decimal(100)))
    successor.inherit(parent)
    successor.warm((bar(0, "100"),))
    after = successor.on_slot((bar(2, "105 111 100 105"),))
    assert fills(before) == [("BUY", "1", "100")]
    assert fills(after) == [("SELL", "1", "110")]
    assert of(after, "fill")[0]["fee"] == Decimal("1.1")
    assert of(after, "trade")[0]["holdBars"] == 1


def test_candles_of_other_timeframes_are_shown_and_never_traded_on() -> None:
    class Watcher(Strategy):
        """Logs what it sees."""

        def on_candle(self, candle: Candle) -> None:
            self.log(f"{candle.timeframe} {candle.close}")
            if candle.timeframe == "5m":
                self.buy(qty=1)

    coarse = Candle("BTC", "5m", 0, 5 * MINUTE, *map(Decimal, ("1", "1000", "1", "999")), Decimal(1))
    trader = StrategyRunner(Watcher(), broker_config())
    first = trader.on_slot((bar(4, "100"), coarse))
    assert of(first, "log") == [{"message": "1m 100"}, {"message": "5m 999"}]
    assert fills(trader.on_slot((bar(5, "101"),))) == [("BUY", "1", "101")]


def test_equal_input_gives_equal_events() -> None:
    candles = bars(*(str(100 + (number * 31) % 17) for number in range(200)))
    for slug, strategy in BUILT_IN.items():
        once, again = (drive(StrategyRunner(strategy(), broker_config()), candles) for _ in range(2))
        assert once == again, slug


def test_a_position_of_more_digits_than_a_strategy_computes_with_is_closed_whole() -> None:
    amount = Decimal("6704704691281872489.9261812013")
    actions = {0: lambda script: script.buy(qty=amount), 1: lambda script: script.close()}
    events = play(bars("0.000001", "0.000001", "0.000001"), actions, broker_config(initial_cash=Decimal(10**14)))
    assert fills(events) == [("BUY", str(amount), "0.000001"), ("SELL", str(amount), "0.000001")]


@pytest.mark.parametrize("action", ["plot({'a': 1}, 5)", "plot(1, 5)", "signal('LONG', 5)", "signal('LONG', None)"])
def test_names_and_reasons_are_text(action: str) -> None:
    with pytest.raises(ValueError, match="a name, tag or reason is text"):
        play(bars("1"), {0: lambda script: eval(f"script.{action}", {"script": script})})
