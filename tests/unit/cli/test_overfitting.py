"""The deflated Sharpe ratio against the example of its paper and against scipy."""

from __future__ import annotations

import math
import random

import pytest
from scipy import stats

from app.cli.research.overfitting import (
    daily_returns,
    deflated_of,
    deflated_sharpe,
    expected_best,
    moments,
    sentence,
)

DAY = 86_400_000


def test_the_example_of_the_paper() -> None:
    """Bailey and López de Prado 2014, "A numerical example": 100 trials, 1,250 days, 2.5 a year of 250 days."""
    found = deflated_sharpe(
        2.5 / math.sqrt(250), days=1250, skew=-3, kurtosis=10, trials=100, variance_of_trials=0.5 / 250
    )
    assert found.by_luck == pytest.approx(0.1132, abs=5e-5)
    assert found.probability == pytest.approx(0.9004, abs=5e-5)


def test_it_is_what_scipy_computes() -> None:
    chance = random.Random(5)
    curves = []
    for _ in range(12):
        equity, curve = 1000.0, []
        for day in range(1, 301):
            equity *= 1 + chance.gauss(0.0005, 0.01) + (0.002 if chance.random() > 0.9 else 0)
            curve.append((day * DAY, equity))
        curves.append(curve)
    returns = [daily_returns(curve, 1000) for curve in curves]
    ratios = [stats.tmean(each) / stats.tstd(each) for each in returns]
    best = returns[0]
    e, n = 0.5772156649015329, len(ratios)
    by_luck = stats.tstd(ratios) * ((1 - e) * stats.norm.ppf(1 - 1 / n) + e * stats.norm.ppf(1 - math.exp(-1) / n))
    skew, kurtosis = stats.skew(best), stats.kurtosis(best, fisher=False)
    assert moments(best) == pytest.approx((skew, kurtosis))
    scale = math.sqrt(1 - skew * ratios[0] + (kurtosis - 1) / 4 * ratios[0] ** 2)
    found = deflated_of(curves, 1000)
    assert found is not None
    assert (found.sharpe, found.by_luck, found.trials, found.days) == pytest.approx((ratios[0], by_luck, 12, 300))
    assert found.probability == pytest.approx(stats.norm.cdf((ratios[0] - by_luck) * math.sqrt(299) / scale))


def test_days_end_at_midnight_and_the_cash_is_the_first_value() -> None:
    assert daily_returns([(DAY // 2, 90), (DAY, 110), (DAY + 1, 99)], 100) == pytest.approx([0.1, -0.1])
    assert daily_returns([(1, -5)], 100) == []


def test_one_run_has_nothing_to_deflate_and_short_ones_say_so() -> None:
    assert expected_best(1, 0.0) == 0
    assert deflated_of([[(1, 101.0), (DAY + 1, 102.0)]], 100) is None
    assert "too short" in sentence(None)
    lucky = deflated_sharpe(0.05, days=100, skew=0, kurtosis=3, trials=50, variance_of_trials=0.01)
    assert "may well be luck" in sentence(lucky)
    assert "does not explain it" in sentence(lucky._replace(probability=0.99))
