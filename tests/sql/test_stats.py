"""Statistics in SQL: against plain arithmetic in Python, however the log is cut, and against the known results."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby, pairwise
from statistics import mean, stdev
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from app.candles.sources import synthetic
from app.domain.event import Event, parse_event
from app.domain.market.candle import Candle
from app.domain.trading.settings import BrokerConfig, parse_sizing
from app.strategies.sma_cross import SmaCross
from tests.reference import between, candles, needs_data
from tests.support.postgres import Database
from tests.support.stored_session import run_strategy, store_session
from tests.support.trading import MINUTE, bar, bars, play
from tests.support.trading import broker_config as config_without_fees

DAY_MS = 86_400_000
YEAR_MS = 365.25 * DAY_MS
START = 1_704_067_200_000
NULL_WITHOUT_TRADES = {
    "win_rate_pct",
    "profit_factor",
    "expectancy",
    "sqn",
    "avg_win",
    "avg_loss",
    "best_trade",
    "worst_trade",
    "win_streak",
    "loss_streak",
    "avg_hold_bars",
}


def made_up(count: int, timeframe: str = "1h") -> list[Candle]:
    step = {"1h": 3_600_000, "1m": MINUTE}[timeframe]
    return list(synthetic.candles("BTCUSDT", timeframe, START, START + count * step))


def log_of(count: int, timeframe: str = "1h", **changes: Any) -> tuple[list[Event], BrokerConfig]:
    on = BrokerConfig(symbols=("BTCUSDT",), timeframe=timeframe, **changes)
    return run_strategy(SmaCross(fast=3, slow=8, side="both"), made_up(count, timeframe), on), on


def stats(database: Database, session_id: UUID, until: int | None = None, state: str = "{}") -> dict[str, Any]:
    with psycopg.connect(database.url, row_factory=dict_row) as conn:
        query = "SELECT s.*, next_state::text AS state FROM sim_stats(%s, %s, %s::jsonb) s"
        row = conn.execute(query, (session_id, until, state)).fetchone()
    assert row is not None
    del row["next_state"]
    return row


def expected(events: Sequence[Event], on: BrokerConfig, period_ms: int) -> dict[str, Any]:
    """Compute every figure naively, in floats."""
    curve = [(event.ts, {k: float(v) for k, v in event.payload.items()}) for event in events if event.type == "equity"]
    trades = [event.payload for event in events if event.type == "trade"]
    closes = [event.payload["candle"] for event in events if event.type == "candle"]
    result = dict.fromkeys(NULL_WITHOUT_TRADES) | of_trades([float(trade["netPnl"]) for trade in trades])
    if trades:
        result["avg_hold_bars"] = mean(trade["holdBars"] for trade in trades)
    if closes:
        result["buy_and_hold_pct"] = 100 * float(closes[-1]["close"] / closes[0]["open"] - 1)
    return result | (of_curve(curve, float(on.initial_cash), period_ms) if curve else {})


def of_trades(pnl: list[float]) -> dict[str, Any]:
    wins, losses = [profit for profit in pnl if profit > 0], [profit for profit in pnl if profit < 0]
    figures: dict[str, Any] = {"trades": len(pnl), "wins": len(wins), "losses": len(losses)}
    if pnl:
        runs = [(sign, len(list(run))) for sign, run in groupby(pnl, key=lambda profit: (profit > 0) - (profit < 0))]
        figures |= {"win_rate_pct": 100 * len(wins) / len(pnl), "expectancy": mean(pnl)}
        figures |= {"best_trade": max(pnl), "worst_trade": min(pnl)}
        figures["win_streak"] = max((length for sign, length in runs if sign > 0), default=0)
        figures["loss_streak"] = max((length for sign, length in runs if sign < 0), default=0)
    if losses:
        figures |= {"profit_factor": sum(wins) / -sum(losses), "avg_loss": mean(losses)}
    if wins:
        figures["avg_win"] = mean(wins)
    if len(pnl) > 1 and stdev(pnl):
        figures["sqn"] = math.sqrt(len(pnl)) * mean(pnl) / stdev(pnl)
    return figures


def of_curve(curve: list[tuple[int, dict[str, float]]], cash: float, period_ms: int) -> dict[str, Any]:
    values = [cash, *(point["equity"] for _, point in curve)]
    returns = [after / before - 1 for before, after in pairwise(values)]
    first, last = curve[0][0] - period_ms, curve[-1][0]
    years = (last - first) / YEAR_MS
    scale = math.sqrt(len(returns) / years)
    total = values[-1] / cash - 1
    fall, fall_pct, longest = drawdown([(first, {"equity": cash}), *curve])
    figures: dict[str, Any] = {
        "from_ms": first,
        "to_ms": last,
        "equity": values[-1],
        "net_profit": values[-1] - cash,
        "return_pct": 100 * total,
        "max_drawdown": fall,
        "max_drawdown_pct": fall_pct,
        "max_drawdown_ms": longest,
        "periods_per_year": len(returns) / years,
        "exposure_pct": 100 * mean(point["positionQty"] != 0 for _, point in curve),
        "fees": curve[-1][1]["feesPaid"],
        "funding": curve[-1][1].get("fundingPaid", 0),
        "interest": curve[-1][1].get("interestPaid", 0),
        "cagr_pct": 100 * ((1 + total) ** (1 / years) - 1) if last - first >= DAY_MS else None,
    }
    figures["calmar"] = figures["cagr_pct"] / fall_pct if fall_pct and figures["cagr_pct"] is not None else None
    spread = stdev(returns) if len(returns) > 1 else None
    downside = math.sqrt(mean(min(change, 0) ** 2 for change in returns))
    figures["volatility_pct"] = None if spread is None else 100 * spread * scale
    figures["sharpe"] = mean(returns) / spread * scale if spread else None
    figures["sortino"] = mean(returns) / downside * scale if downside else None
    return figures | of_days(curve, cash)


def of_days(curve: list[tuple[int, dict[str, float]]], cash: float) -> dict[str, Any]:
    """Return the figures of the last equity of each day; an equity at midnight belongs to the day before."""
    ends = {(ts - 1) // DAY_MS: point["equity"] for ts, point in curve}
    returns = [after / before - 1 for before, after in pairwise([cash, *ends.values()])]
    spread = stdev(returns) if len(returns) > 1 else None
    downside, scale = math.sqrt(mean(min(change, 0) ** 2 for change in returns)), math.sqrt(365)
    return {
        "daily_volatility_pct": None if spread is None else 100 * spread * scale,
        "daily_sharpe": mean(returns) / spread * scale if spread else None,
        "daily_sortino": mean(returns) / downside * scale if downside else None,
    }


def drawdown(curve: list[tuple[int, dict[str, float]]]) -> tuple[float, float, int]:
    """Return depth in money and percent, and ms from a peak to the next equity as high, or to the end."""
    peak, peak_ts, depth, pct, longest, under = -math.inf, 0, 0.0, 0.0, 0, False
    for ts, point in curve:
        value = point["equity"]
        if value >= peak:
            longest = max(longest, ts - peak_ts) if under else longest
            peak, peak_ts, under = value, ts, False
        else:
            under = True
            depth, pct, longest = (
                max(depth, peak - value),
                max(pct, 100 * (peak - value) / peak),
                max(longest, ts - peak_ts),
            )
    return depth, pct, longest


def compare(figures: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        if value is None:
            assert figures[name] is None, name
        else:
            assert float(figures[name]) == pytest.approx(value, rel=1e-9, abs=2e-10), name


def test_every_figure_is_what_plain_arithmetic_gives(any_database: Database) -> None:
    events, on = log_of(400)
    session_id = store_session(any_database, events, on)
    result = stats(any_database, session_id)
    wanted = expected(events, on, 3_600_000)
    assert wanted["trades"] > 20
    assert set(wanted) | {"seq", "initial_cash", "state"} == set(result)
    compare(result, wanted)
    assert result["seq"] == len(events)
    assert result["periods_per_year"] == Decimal("8766")


def test_few_candles_have_few_figures(database: Database) -> None:
    for count in (1, 2, 9, 12, 24):
        events, on = log_of(count)
        result = stats(database, store_session(database, events, on))
        compare(result, expected(events, on, 3_600_000))
        assert (result["cagr_pct"] is None) == (count < 24)
        assert result["sharpe"] is None or count > 2


def test_an_empty_log_has_counts_of_zero_and_no_figures(database: Database) -> None:
    on = BrokerConfig(symbols=("BTCUSDT",), timeframe="1h")
    result = stats(database, store_session(database, [], on))
    known = {name: value for name, value in result.items() if value is not None and name != "state"}
    assert known == {"seq": 0, "initial_cash": 10_000, "trades": 0, "wins": 0, "losses": 0}


def test_a_log_of_candles_alone_knows_what_holding_would_have_brought(database: Database) -> None:
    events, on = log_of(50)
    result = stats(database, store_session(database, [event for event in events if event.type == "candle"], on))
    assert result["buy_and_hold_pct"] is not None
    assert result["sharpe"] is None


def test_figures_during_a_run_are_those_of_its_log_so_far(database: Database) -> None:
    events, on = log_of(300)
    session_id = store_session(database, events, on)
    cuts = sorted(random.Random(4).sample(range(1, len(events)), 12))
    state = "{}"
    for cut in cuts:
        went_on, anew = stats(database, session_id, cut, state), stats(database, session_id, cut)
        assert went_on == anew
        compare(anew, expected(events[:cut], on, 3_600_000))
        state = went_on["state"]
    assert stats(database, session_id, None, state) == stats(database, session_id)


def curve(*points: tuple[int, int, int]) -> list[Event]:
    """Return equity events of hour, equity and peak."""
    return [
        parse_event(
            START + hour * 3_600_000, "equity", {"equity": equity, "peakEquity": peak, "drawdownPct": 0, "feesPaid": 0}
        )
        for hour, equity, peak in points
    ]


@pytest.mark.parametrize(
    ("points", "hours"),
    [
        ([(0, 10_000, 10_000), (1, 9_900, 10_000), (2, 9_950, 10_000), (7, 10_000, 10_000)], 7),
        ([(0, 10_000, 10_000), (5, 9_943, 10_008), (6, 9_965, 10_008)], 1),  # The peak was somewhere before the fifth.
        ([(0, 10_000, 10_000), (5, 9_943, 10_008), (6, 9_965, 10_008), (8, 10_009, 10_009)], 3),
        ([(0, 10_000, 10_000), (1, 9_900, 10_000), (4, 9_950, 10_050), (5, 9_950, 10_050)], 4),  # Over by the fourth.
        ([(0, 10_000, 10_000), (5, 9_900, 10_050), (7, 9_900, 10_100), (8, 10_200, 10_200)], 2),
    ],
)
def test_a_peak_between_two_samples_counts_as_at_the_later(
    database: Database, points: list[tuple[int, int, int]], hours: int
) -> None:
    on = BrokerConfig(symbols=("BTCUSDT",), timeframe="1h", record="trades")
    session_id = store_session(database, curve(*points), on)
    result = stats(database, session_id)
    assert result["max_drawdown_ms"] == hours * 3_600_000
    for cut in range(1, len(points)):
        state = stats(database, session_id, cut)["state"]
        assert stats(database, session_id, None, state) == result


def test_ruin_has_no_risk_ratios(database: Database) -> None:
    on = BrokerConfig(symbols=("BTCUSDT",), timeframe="1h")
    ratios = ("volatility_pct", "sharpe", "sortino", "daily_volatility_pct", "daily_sharpe", "daily_sortino")
    lost = [(0, 10_000, 10_000), (1, 9_000, 10_000), (24, -5, 10_000)]
    results = stats(database, store_session(database, curve((-24, 10_000, 10_000), *lost), on))
    assert all(results[name] is not None for name in ratios)  # Only the last return leads below zero: all ratios exist.
    for after in ([(48, -5, 10_000)], [(48, 12_000, 12_000), (72, 13_000, 13_000)]):
        results = stats(database, store_session(database, curve(*lost, *after), on))
        assert [results[name] for name in ratios] == [None] * 6
        assert results["return_pct"] == Decimal(after[-1][1] - 10_000) / 100
        assert results["periods_per_year"] is not None


def test_daily_figures_count_the_days_of_the_venues_calendar(database: Database) -> None:
    events, on = log_of(24 * 10)
    daily = [
        stats(database, store_session(database, events, on, days_per_year=days))["daily_sharpe"] for days in (365, 252)
    ]
    assert float(daily[0] / daily[1]) == pytest.approx(math.sqrt(365 / 252), rel=1e-9)


def test_a_loss_in_the_first_candle_is_a_drawdown_from_the_initial_cash(database: Database) -> None:
    on = config_without_fees(fill="same_close", taker_fee_bps=Decimal(100), leverage=None)
    events = play(bars("100", "99"), {0: lambda self: self.buy(qty=100), 1: lambda self: self.close()}, on)
    result = stats(database, store_session(database, events, on))
    assert (result["return_pct"], result["max_drawdown_pct"], result["max_drawdown"]) == (
        Decimal("-2.99"),
        Decimal("2.99"),
        299,
    )
    assert result["max_drawdown_ms"] == 2 * MINUTE
    older = config_without_fees(fill="same_close", taker_fee_bps=Decimal(100), leverage=None, rules=1)
    events = play(bars("100", "99"), {0: lambda self: self.buy(qty=100), 1: lambda self: self.close()}, older)
    result = stats(database, store_session(database, events, older))
    assert (result["max_drawdown"], result["max_drawdown_ms"]) == (199, MINUTE)


def test_samples_of_a_day_tell_the_same_money_and_trades(database: Database) -> None:
    full, sampled = (log_of(24 * 40, record=record) for record in ("full", "trades"))
    known = stats(database, store_session(database, *full, start_ms=START))
    columns = "venue, symbol, timeframe, open_time_ms, open, high, low, close, volume"
    into = f"COPY market_candles ({columns}) FROM STDIN"
    with psycopg.connect(database.url) as conn, conn.cursor().copy(into) as copy:
        for candle in made_up(24 * 40):
            copy.write_row(("demo", candle.symbol, candle.timeframe, candle.open_time_ms, *candle[4:9]))
    results = stats(database, store_session(database, *sampled, start_ms=START))
    same = {
        "equity",
        "return_pct",
        "fees",
        "cagr_pct",
        "buy_and_hold_pct",
        "trades",
        "profit_factor",
        "sqn",
        "win_streak",
        "daily_volatility_pct",
        "daily_sharpe",
        "daily_sortino",
    }
    assert {name: results[name] for name in same} == {name: known[name] for name in same}
    assert results["periods_per_year"] == 365
    for name in ("volatility_pct", "sharpe", "sortino"):
        assert results[name] == results[f"daily_{name}"]
    older = stats(database, store_session(database, *sampled, start_ms=START, rules=1))
    assert 365 < older["periods_per_year"] < 376
    assert older["sharpe"] != older["daily_sharpe"] == results["daily_sharpe"]
    assert results["max_drawdown_pct"] <= known["max_drawdown_pct"]
    assert abs(results["max_drawdown_ms"] - known["max_drawdown_ms"]) <= 2 * DAY_MS


def test_a_position_in_any_of_several_symbols_is_exposure(database: Database) -> None:
    slots = [(bar(n, "10"), bar(n, str(20 + n), symbol="ETH")) for n in range(4)]
    actions = {1: lambda self: self.buy(qty=1, symbol="ETH")}
    on = config_without_fees(symbols=("BTC", "ETH"))
    result = stats(database, store_session(database, play(slots, actions, on), on))
    assert result["exposure_pct"] == 50
    assert result["equity"] == 10_001


def test_a_streak_ends_with_a_trade_that_wins_nothing(database: Database) -> None:
    prices = bars("10", "10", "11", "11", "12", "12", "12", "12", "13", "13", "13", "12", "12")
    actions = {n: (lambda self: self.buy(qty=1)) if n % 2 == 0 else (lambda self: self.close()) for n in range(12)}
    events = play(prices, actions)
    result = stats(database, store_session(database, events, config_without_fees()))
    compare(result, of_trades([float(event.payload["netPnl"]) for event in events if event.type == "trade"]))


def test_losing_everything_and_more_leaves_no_yearly_growth(database: Database) -> None:
    on = config_without_fees(initial_cash=Decimal(10), leverage=None)
    actions = {0: lambda self: self.sell(qty=2)}
    days = [event._replace(ts=event.ts * 1440) for event in play(bars("10", "10", "40", "50"), actions, on)]
    result = stats(database, store_session(database, days, on))
    assert result["equity"] == -70
    assert result["cagr_pct"] is None
    assert result["return_pct"] == -800


def test_quotients_are_rounded_half_to_even(any_database: Database) -> None:
    pairs = [
        ("0.00000000005", "0"),
        ("0.00000000015", "0.0000000002"),
        ("-0.00000000025", "-0.0000000002"),
        ("1.50", "1.5"),
    ]
    for value, rounded in [*pairs, ("0.000000000050001", "0.0000000001")]:
        assert any_database.query("SELECT sim_stats_round(%s::numeric)::text", value) == [(rounded,)]


def test_the_curve_in_few_points_keeps_ends_highs_and_lows(database: Database) -> None:
    events, on = log_of(400)
    session_id = store_session(database, events, on)
    curve = [(n, event.ts, event.payload["equity"]) for n, event in enumerate(events, 1) if event.type == "equity"]
    values = [value for *_, value in curve]
    for points in (2, 3, 4, 5, 40, 399, 400, 5000):
        results = database.query("SELECT seq, ts, equity FROM sim_equity_points(%s, %s)", session_id, points)
        assert len(results) <= points
        assert set(results) <= set(curve)
        assert results == sorted(results)
        assert (results[0], results[-1]) == (curve[0], curve[-1])
        heights = [value for *_, value in results]
        assert points < 4 or (min(heights), max(heights)) == (min(values), max(values))
        assert points < len(curve) or results == curve


def test_a_sample_of_the_curve_is_spread_evenly_and_ends_where_the_log_ends(database: Database) -> None:
    events, on = log_of(400)
    session_id = store_session(database, events, on)
    curve = [(n, event.ts, event.payload["equity"]) for n, event in enumerate(events, 1) if event.type == "equity"]
    for points in (2, 40, 5000):
        results = database.query("SELECT seq, ts, equity FROM sim_equity_sample(%s, %s)", session_id, points)
        parts = {-(-seq * points // len(events)): (seq, ts, value) for seq, ts, value in curve}
        assert results == list(parts.values())
        assert results[-1] == curve[-1]


def test_views_show_sessions_trades_and_equity_by_eye(any_database: Database) -> None:
    events, on = log_of(100)
    session_id = store_session(any_database, events, on)
    result = stats(any_database, session_id)
    shown = any_database.query("SELECT sharpe, trades FROM sim_view_stats WHERE session_id = %s", session_id)
    assert shown == [(result["sharpe"], result["trades"])]
    sums = any_database.query(
        "SELECT count(*), sum(net_pnl) / count(*) FROM sim_view_trades WHERE session_id = %s", session_id
    )
    assert (sums[0][0], float(sums[0][1])) == (result["trades"], pytest.approx(float(result["expectancy"])))
    last = any_database.query(
        "SELECT equity FROM sim_view_equity WHERE session_id = %s ORDER BY seq DESC LIMIT 1", session_id
    )
    assert last == [(result["equity"],)]


@needs_data
@pytest.mark.parametrize("set_", ["day1", "goog-1d", "adabtc-5m"])
def test_the_known_results_have_the_same_figures(database: Database, set_: str) -> None:
    from tests.acceptance.test_reference_results import RUNS, near, strategy_of

    runs = [row for row in RUNS if row["set"] == set_][1::4]
    assert runs
    for row in runs:
        name, side, *rest = row["run"].split("_")
        values = between(candles(row["file"]), row["from"], row["to"])
        size = {"equityPct": 100} if row["qty"] == "all cash" else {"qty": row["qty"]}
        fee = Decimal(row["fee_rate"]) * 10_000
        on = BrokerConfig(
            symbols=(values[0].symbol,),
            timeframe=values[0].timeframe,
            initial_cash=Decimal(row["start_cash"]),
            maker_fee_bps=fee,
            taker_fee_bps=fee,
            fill="same_close" if rest[0] == "same" else "next_open",
            sizing=parse_sizing(size),
        )
        result = stats(database, store_session(database, run_strategy(strategy_of(name, side), values, on), on))
        assert (result["trades"], result["wins"]) == (int(row["closed_trades"]), int(row["winning_trades"]))
        assert near(result["equity"], row["final_equity"])
        assert near(result["fees"], row["total_fees"])
        assert near(result["max_drawdown"], row["max_drawdown"])
        assert near(result["max_drawdown_pct"], row["max_drawdown_pct"], 1)
        realized = result["trades"] * (result["expectancy"] or 0)  # a mean of 10 decimals, times its count
        assert abs(realized - Decimal(row["realized_pnl"])) <= Decimal("1e-9") * (result["trades"] + result["fees"])
        assert float(result["return_pct"]) == pytest.approx(
            100 * (float(row["final_equity"]) / float(row["start_cash"]) - 1), abs=1e-9
        )


def test_funding_and_interest_are_the_sums_of_their_events(any_database: Database) -> None:
    events, on = log_of(24 * 5, funding_bps=Decimal(5), borrow_bps_per_day=Decimal(3), leverage=None)
    session_id = store_session(any_database, events, on)
    result, half = stats(any_database, session_id), stats(any_database, session_id, len(events) // 2)
    for name in ("funding", "interest"):
        paid = [event.payload["amount"] for event in events if event.type == name]
        assert len(paid) > 2
        assert result[name] == sum(paid) != half[name]
    assert stats(any_database, session_id, state=half["state"])["funding"] == result["funding"]
