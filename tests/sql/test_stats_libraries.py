"""Daily figures against those of empyrical-reloaded and quantstats, from the same equity by way of pandas."""

from __future__ import annotations

import warnings
from decimal import Decimal
from typing import Any

import pytest

from tests.sql.test_stats import DAY_MS, START, log_of, stats
from tests.support.postgres import Database
from tests.support.stored_session import store_session

pandas = pytest.importorskip("pandas", reason="pandas is not installed")


def daily_returns(events: Any, cash: Decimal) -> Any:
    """Return the growth of each UTC day's last equity, from the initial cash on."""
    curve = {event.ts: float(event.payload["equity"]) for event in events if event.type == "equity"}
    index = pandas.to_datetime([START, *curve], unit="ms", utc=True)
    days = pandas.Series([float(cash), *curve.values()], index).resample("1D", closed="right", label="right").last()
    return days.dropna().pct_change().dropna().tz_localize(None)


@pytest.fixture
def compared(any_database: Database) -> tuple[dict[str, Any], Any]:
    """The figures of a log of 40 days of hours, and its daily returns."""
    events, on = log_of(24 * 40)
    returns = daily_returns(events, on.initial_cash)
    assert len(returns) == (events[-1].ts - START) // DAY_MS
    return stats(any_database, store_session(any_database, events, on)), returns


def near(value: float) -> Any:
    return pytest.approx(value, rel=1e-7)


def test_empyrical_has_the_same_daily_figures(compared: tuple[dict[str, Any], Any]) -> None:
    empyrical = library("empyrical")
    result, returns = compared
    assert float(result["daily_sharpe"]) == near(empyrical.sharpe_ratio(returns, annualization=365))
    assert float(result["daily_sortino"]) == near(empyrical.sortino_ratio(returns, annualization=365))
    assert float(result["daily_volatility_pct"]) == near(100 * empyrical.annual_volatility(returns, annualization=365))
    assert float(result["return_pct"]) == near(100 * empyrical.cum_returns_final(returns))


def test_both_libraries_have_the_same_drawdown(any_database: Database) -> None:
    """The peaks begin with the initial cash, of which the first return is made; every candle is a return here."""
    empyrical, quantstats = library("empyrical"), library("quantstats.stats")
    events, on = log_of(24 * 40)
    curve = [float(on.initial_cash), *(float(event.payload["equity"]) for event in events if event.type == "equity")]
    index = pandas.to_datetime([START + number * 3_600_000 for number in range(len(curve))], unit="ms")
    returns = pandas.Series(curve, index).pct_change().dropna()
    result = stats(any_database, store_session(any_database, events, on))
    assert float(result["max_drawdown_pct"]) > 0
    assert float(result["max_drawdown_pct"]) == near(-100 * empyrical.max_drawdown(returns))
    assert float(result["max_drawdown_pct"]) == near(-100 * quantstats.max_drawdown(returns))


def test_quantstats_has_the_same_daily_figures(compared: tuple[dict[str, Any], Any]) -> None:
    quantstats = library("quantstats.stats")
    result, returns = compared
    assert float(result["daily_sharpe"]) == near(quantstats.sharpe(returns, periods=365))
    assert float(result["daily_sortino"]) == near(quantstats.sortino(returns, periods=365))
    assert float(result["daily_volatility_pct"]) == near(100 * quantstats.volatility(returns, periods=365))
    assert float(result["return_pct"]) == near(100 * quantstats.comp(returns))


def library(name: str) -> Any:
    """Import a library that warns about what it imports itself; skip the test without it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"{name} is not installed")
