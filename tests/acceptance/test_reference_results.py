"""Every computed run and every published case of the shared reference, through the pure engine."""

from __future__ import annotations

import json
import math
import re
from collections import deque
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from app.domain.event import Event
from app.domain.market.candle import Candle
from app.domain.trading.indicator import Ema, Rsi, Sma
from app.domain.trading.settings import parse_sizing
from app.domain.trading.strategy import Strategy
from app.strategies.registry import BUILT_IN
from tests.reference import REFERENCE, between, broker_config, candles, day_ms, needs_data, payloads, rows, run

pytestmark = needs_data

RUNS = list(rows(REFERENCE / "computed-summary.csv")) if REFERENCE.is_dir() else []
SLUGS = {
    "bh": ("buy_and_hold", ()),
    "sma": ("sma_cross", ("fast", "slow")),
    "ema": ("ema_state", ("fast", "slow")),
    "rsi": ("rsi_revert", ("n", "low", "high")),
    "don": ("donchian_breakout", ("entry", "exit")),
}


def strategy_of(name: str, side: str) -> Strategy:
    """Return the built-in a run's name stands for."""
    word, numbers = re.fullmatch(r"([a-z]+)([\d-]*)", name).groups()
    slug, names = SLUGS[word]
    config: dict[str, Any] = dict(zip(names, map(int, numbers.split("-")), strict=True)) if names else {}
    if names:
        config["side"] = "both" if side == "long-short" else "long"
    return BUILT_IN[slug](**config)


@cache
def expected(folder: str, set_: str) -> dict[str, list[dict[str, str]]]:
    """Return the rows of a set's trades or equity by run."""
    by_run: dict[str, list[dict[str, str]]] = {}
    for row in rows(REFERENCE / folder / f"{set_}.csv"):
        by_run.setdefault(row["run"], []).append(row)
    return by_run


def near(value: Any, other: Any, scale: Any = 0) -> bool:
    """Tell whether two amounts differ by at most 1e-9 of the larger, or of `scale`."""
    a, b = Decimal(value), Decimal(other)
    return abs(a - b) <= Decimal("1e-9") * max(abs(a), abs(b), abs(Decimal(scale)))


def events_of(row: dict[str, str], **settings: Any) -> tuple[list[Candle], list[Event]]:
    """Return the candles and the events of a computed run."""
    name, side, *rest = row["run"].split("_")
    values = between(candles(row["file"]), row["from"], row["to"])
    size = {"equityPct": 100} if row["qty"] == "all cash" else {"qty": row["qty"]}
    on = broker_config(
        values,
        initial_cash=Decimal(row["start_cash"]),
        fee_bps=Decimal(row["fee_rate"]) * 10_000,
        fill="_".join(rest[:2]),
        sizing=parse_sizing(size),
        **settings,
    )
    return values, run(strategy_of(name, side), values, on)


@pytest.mark.parametrize("row", RUNS, ids=lambda row: f"{row['set']}-{row['run']}")
def test_a_computed_run_comes_out_the_same(row: dict[str, str]) -> None:
    values, events = events_of(row)
    shift = values[0].close_time_ms - values[0].open_time_ms if "same_close" in row["run"] else 0
    compare_summary(row, events)
    compare_trades(expected("trades", row["set"]).get(row["run"], []), events, shift)
    compare_equity(expected("equity", row["set"])[row["run"]], events, values)


def test_only_the_first_peak_of_a_computed_run_depends_on_the_rule_set() -> None:
    short = [row for row in RUNS if int(row["bars"]) < 3000]
    assert len(short) > 10
    for row in short:
        first, second = (without_peaks(events_of(row, rules=rules)[1]) for rules in (1, 2))
        assert first == second


def without_peaks(events: list[Event]) -> list[tuple[int, str, Any]]:
    """Return the events without the peak of the equity and what is measured from it."""
    peaks = ("peakEquity", "drawdownPct")
    return [
        (event.ts, event.type, {name: value for name, value in event.payload.items() if name not in peaks})
        for event in events
    ]


def compare_summary(row: dict[str, str], events: list[Event]) -> None:
    trades, equities = payloads(events, "trade"), payloads(events, "equity")
    last = equities[-1]
    assert len(equities) == int(row["bars"])
    assert len(payloads(events, "fill")) == int(row["fills"])
    assert len(trades) == int(row["closed_trades"])
    assert sum(trade["netPnl"] > 0 for trade in trades) == int(row["winning_trades"])
    assert near(last["equity"], row["final_equity"])
    assert near(last["cash"], row["final_cash"], row["final_equity"])
    assert near(last["feesPaid"], row["total_fees"])
    assert near(last["realizedPnl"], row["realized_pnl"], row["total_fees"])
    assert last["realizedPnl"] == sum(trade["netPnl"] for trade in trades)
    falls = [equity["peakEquity"] - equity["equity"] for equity in equities]
    assert near(max(falls), row["max_drawdown"])
    assert near(max(equity["drawdownPct"] for equity in equities), row["max_drawdown_pct"], 1)


def compare_trades(wanted: list[dict[str, str]], events: list[Event], shift: int) -> None:
    closed = [row for row in wanted if row["exit_time_ms"]]
    trades = payloads(events, "trade")
    assert [row["entry_time_ms"] for row in closed] == [str(trade["entryTs"] - shift) for trade in trades]
    assert [row["exit_time_ms"] for row in closed] == [str(trade["exitTs"] - shift) for trade in trades]
    assert [row["side"].upper() for row in closed] == [trade["side"] for trade in trades]
    for row, trade in zip(closed, trades, strict=True):
        fees = Decimal(row["fee_entry"]) + Decimal(row["fee_exit"])
        assert near(trade["entryPrice"], row["entry_price"])
        assert near(trade["exitPrice"], row["exit_price"])
        assert near(trade["qty"], row["qty"])
        assert near(trade["fees"], fees)
        assert near(trade["netPnl"], row["pnl_net"], fees)


def compare_equity(wanted: list[dict[str, str]], events: list[Event], values: list[Candle]) -> None:
    at = {candle.close_time_ms: candle.open_time_ms for candle in values}
    results = {at[event.ts]: event for event in events if event.type == "equity"}
    for row in wanted:
        assert near(results[int(row["open_time_ms"])].payload["equity"], row["equity"])


def published(name: str) -> dict[str, Any]:
    return json.loads((REFERENCE / "published" / name).read_text(), parse_float=Decimal)


class Ema1020(Strategy):
    """P1: on the side of the faster average, 0.001 at a time, flat after the last candle."""

    last_ms: int

    def on_start(self) -> None:
        self._fast, self._slow = Ema(10), Ema(20)

    def on_candle(self, candle: Candle) -> None:
        self._fast.add(candle.close)
        self._slow.add(candle.close)
        if candle.open_time_ms == self.last_ms:
            self.close()
        elif self._slow.ready and candle.high != candle.low:
            wanted = 1 if self._fast.value >= self._slow.value else -1
            if wanted != self.position.sign:
                self.close()
                (self.buy if wanted > 0 else self.sell)(qty="0.001")


def test_p1_ema_cross_of_nautilus_trader_comes_out_to_the_eighth_decimal() -> None:
    case = published("P1-ema-cross-btcperp-1m.json")
    values = candles("BTCPERP-1m.csv.gz")[: case["expected"]["ema_updates"]]
    on = broker_config(
        values, initial_cash=Decimal(case["start"]["USDT"]), fee_bps=Decimal(10), fill="same_close", leverage=None
    )
    events = run(Ema1020(last_ms=values[-1].open_time_ms), values, on)
    assert len(payloads(events, "fill")) == case["expected"]["orders"]
    last = payloads(events, "equity")[-1]
    assert last["positionQty"] == 0
    assert last["cash"] == Decimal(case["expected"]["USDT"])


class Momentum(Strategy):
    """P2: plots the sign of the mean log return of each window when it changes; the mean telescopes.

    Three means are exactly zero; the published run, in floats, kept its sign there.
    """

    windows: list[int]

    def on_start(self) -> None:
        self._closes: deque[Decimal] = deque(maxlen=max(self.windows) + 1)
        self._signs = dict.fromkeys(self.windows)

    def on_candle(self, candle: Candle) -> None:
        self._closes.append(candle.close)
        for window in self.windows:
            if len(self._closes) > window:
                before = self._closes[-1 - window]
                sign = (candle.close > before) - (candle.close < before)
                if sign and sign != self._signs[window]:
                    self._signs[window] = sign
                    self.plot(str(window), sign)


def test_p2_momentum_comes_out_to_the_cent() -> None:
    wanted = published("P2-momentum-btcusdt-1h.json")["window_to_final_equity"]
    values = between(candles("BTCUSDT-1h.csv.gz"), "2018-02-10", "2025-04-01")
    events = run(Momentum(windows=[int(window) for window in wanted]), values, broker_config(values))
    signs: dict[str, dict[int, int]] = {window: {} for window in wanted}
    for event in events:
        if event.type == "plot":
            signs[event.payload["name"]][event.ts] = int(event.payload["value"])
    for window, equity in wanted.items():
        assert round(momentum_equity(values, signs[window]), 2) == float(equity)


def momentum_equity(values: list[Candle], signs: dict[int, int]) -> float:
    """Return 10000 * exp(sum of sign before * log return, less 0.001 at a change), counted after the first sign."""
    total, held = 0.0, None
    for before, candle in pairwise(values):
        now = signs.get(candle.close_time_ms, held)
        if held is not None:
            total += held * math.log(candle.close / before.close) - (0.001 if now != held else 0)
        held = now
    return 10_000 * math.exp(total)


class PriceCross(Strategy):
    """P3: long while the close has crossed its average upwards; equal closes are passed over."""

    def on_start(self) -> None:
        self._sma, self._side = Sma(15), 0

    def on_candle(self, candle: Candle) -> None:
        self._sma.add(candle.close)
        if not self._sma.ready or candle.close == self._sma.value:
            return
        before, self._side = self._side, 1 if candle.close > self._sma.value else -1
        if before < 0 < self._side:
            self.signal("LONG", "up", close=candle.close)
            self.buy(qty=1)
        elif before > 0 > self._side and self.position.qty:
            self.signal("EXIT", "down", close=candle.close)
            self.close()


def test_p3_price_and_average_of_backtrader_come_out_exactly() -> None:
    case = published("P3-sma15-index2006.json")["expected"]
    values = candles("INDEX2006-1d.csv")
    events = run(PriceCross(), values, broker_config(values))
    signals, fills = payloads(events, "signal"), payloads(events, "fill")
    for direction, side, names in (
        ("LONG", "BUY", ("closes_at_buy_signal", "buy_fill_prices")),
        ("EXIT", "SELL", ("closes_at_sell_signal", "sell_fill_prices")),
    ):
        closes = [signal["indicators"]["close"] for signal in signals if signal["direction"] == direction]
        assert closes == [Decimal(text) for text in case[names[0]]]
        assert [fill["price"] for fill in fills if fill["side"] == side] == [Decimal(text) for text in case[names[1]]]
    last = payloads(events, "equity")[-1]
    assert (last["equity"], last["cash"]) == (Decimal(case["final_equity"]), Decimal(case["final_cash"]))


def test_p4_reversing_averages_of_backtesting_py_come_out_the_same() -> None:
    case = published("P4-sma10-30-goog.json")["expected"]
    values = candles("GOOG-1d.csv")
    on = broker_config(values, sizing=parse_sizing({"equityPct": 100, "qtyStep": 1}))
    events = run(BUILT_IN["sma_cross"](fast=10, slow=30, side="both"), values, on)
    trades, equities = payloads(events, "trade"), payloads(events, "equity")
    wanted = list(rows(REFERENCE / "published" / "P4-trades.csv"))
    assert len(trades) + 1 == len(wanted) == case["trades"]
    for row, trade in zip(wanted, trades, strict=False):
        size = trade["qty"] * (1 if trade["side"] == "LONG" else -1)
        assert (size, trade["entryPrice"], trade["exitPrice"]) == tuple(
            Decimal(row[name]) for name in ("size", "entry_price", "exit_price")
        )
        assert (trade["entryTs"], trade["exitTs"]) == (day_ms(row["entry_date"]), day_ms(row["exit_date"]))
        assert trade["holdBars"] == int(row["exit_bar"]) - int(row["entry_bar"])
    last = equities[-1]
    assert last["positionQty"] == int(wanted[-1]["size"])
    # The library closes what is left at the last open, whatever the rules beside the file say.
    closed = last["cash"] + last["positionQty"] * Decimal(wanted[-1]["exit_price"])
    assert round(closed, 2) == case["final_equity"]
    assert round(max(equity["equity"] for equity in equities), 2) == case["peak_equity"]
    assert near(max(equity["drawdownPct"] for equity in equities), -case["max_drawdown_pct"])


def test_p5_indicators_of_stock_indicators_come_out_the_same() -> None:
    sma, rsi = Sma(20), Rsi(14)
    wanted = list(rows(REFERENCE / "published" / "P5-indicators-spy-1d.csv"))
    values = candles("SPY-1d.csv")
    assert len(wanted) == len(values)
    for row, candle in zip(wanted, values, strict=True):
        sma.add(candle.close)
        rsi.add(candle.close)
        assert sma.ready == bool(row["sma20"])
        assert rsi.ready == bool(row["rsi14"])
        assert not sma.ready or near(sma.value, row["sma20"])
        assert not rsi.ready or near(rsi.value, row["rsi14"])


class RoiExits(Strategy):
    """P6: entries at given times; the profit target falls with age, a limit order for each candle."""

    entries: dict[int, Decimal]
    fee: Decimal

    def on_candle(self, candle: Candle) -> None:
        now = candle.close_time_ms
        if now in self.entries:
            self.buy(qty=self.entries[now])
        elif self.position.qty:
            lot = self.position.lots[0]
            age = (now - lot.moment.ts) // 60_000
            target = next(percent for minutes, percent in ((40, 0), (30, 1), (20, 2), (0, 4)) if age >= minutes)
            price = lot.price * (1 + self.fee) * (1 + Decimal(target) / 100) / (1 - self.fee)
            self.sell(qty=self.position.qty, limit=price, good_for=1)


def test_p6_falling_profit_targets_of_freqtrade_come_out_exactly() -> None:
    wanted = published("P6-roi-exits-ethbtc-5m.json")["expected"]
    values = candles("ETHBTC-5m.csv")
    entries = {day_ms(trade["entry"]): Decimal(trade["amount"]) for trade in wanted}
    strategy = RoiExits(fee=Decimal("0.0025"), entries={str(key): qty for key, qty in entries.items()})
    trades = payloads(run(strategy, values, broker_config(values, fee_bps=Decimal(25))), "trade")
    assert len(trades) == len(wanted)
    for expected, trade in zip(wanted, trades, strict=True):
        assert (trade["entryTs"], trade["exitTs"]) == (day_ms(expected["entry"]), day_ms(expected["exit"]))
        assert trade["entryPrice"] == Decimal(expected["entry_price"])
        assert near(trade["exitPrice"], expected["exit_price"])
        assert abs(trade["netPnl"]) < Decimal("1e-18")
