"""Every computed run and every published case of the shared reference, through the pure engine."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from app.domain.candle import Candle
from app.domain.event import Event
from app.domain.strategy import Strategy
from app.domain.terms import sizing
from app.strategies.registry import BUILT_IN
from tests.reference import REFERENCE, between, candles, needs_data, payloads, rows, run, terms

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
    found: dict[str, list[dict[str, str]]] = {}
    for row in rows(REFERENCE / folder / f"{set_}.csv"):
        found.setdefault(row["run"], []).append(row)
    return found


def near(value: Any, other: Any, scale: Any = 0) -> bool:
    """Tell whether two amounts differ by at most 1e-9 of the larger, or of `scale`."""
    a, b = Decimal(value), Decimal(other)
    return abs(a - b) <= Decimal("1e-9") * max(abs(a), abs(b), abs(Decimal(scale)))


@pytest.mark.parametrize("row", RUNS, ids=lambda row: f"{row['set']}-{row['run']}")
def test_a_computed_run_comes_out_the_same(row: dict[str, str]) -> None:
    name, side, *rest = row["run"].split("_")
    fill = "_".join(rest[:2])
    values = between(candles(row["file"]), row["from"], row["to"])
    size = {"equityPct": 100} if row["qty"] == "all cash" else {"qty": row["qty"]}
    on = terms(
        values,
        initial_cash=Decimal(row["start_cash"]),
        fee_bps=Decimal(row["fee_rate"]) * 10_000,
        fill=fill,
        sizing=sizing(size),
    )
    events = run(strategy_of(name, side), values, on)
    shift = values[0].close_time_ms - values[0].open_time_ms if fill == "same_close" else 0
    compare_summary(row, events)
    compare_trades(expected("trades", row["set"]).get(row["run"], []), events, shift)
    compare_equity(expected("equity", row["set"])[row["run"]], events, values)


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
    falls = [one["peakEquity"] - one["equity"] for one in equities]
    assert near(max(falls), row["max_drawdown"])
    assert near(max(one["drawdownPct"] for one in equities), row["max_drawdown_pct"], 1)


def compare_trades(wanted: list[dict[str, str]], events: list[Event], shift: int) -> None:
    closed = [row for row in wanted if row["exit_time_ms"]]
    trades = payloads(events, "trade")
    assert [row["entry_time_ms"] for row in closed] == [str(one["entryTs"] - shift) for one in trades]
    assert [row["exit_time_ms"] for row in closed] == [str(one["exitTs"] - shift) for one in trades]
    assert [row["side"].upper() for row in closed] == [one["side"] for one in trades]
    for row, trade in zip(closed, trades, strict=True):
        fees = Decimal(row["fee_entry"]) + Decimal(row["fee_exit"])
        assert near(trade["entryPrice"], row["entry_price"])
        assert near(trade["exitPrice"], row["exit_price"])
        assert near(trade["qty"], row["qty"])
        assert near(trade["fees"], fees)
        assert near(trade["netPnl"], row["pnl_net"], fees)


def compare_equity(wanted: list[dict[str, str]], events: list[Event], values: list[Candle]) -> None:
    at = {candle.close_time_ms: candle.open_time_ms for candle in values}
    found = {at[event.ts]: event for event in events if event.type == "equity"}
    for row in wanted:
        assert near(found[int(row["open_time_ms"])].payload["equity"], row["equity"])
