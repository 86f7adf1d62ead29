"""How much of the best result of many runs may be luck: the deflated Sharpe ratio, and results before and after.

Bailey and López de Prado, The Deflated Sharpe Ratio, J. of Portfolio Management, 2014. All Sharpe ratios here are of
one day, not annualised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist, fmean, variance
from typing import NamedTuple

MIN_DAYS = 20
"""Below this many daily returns nothing is said."""
LIKELY = 0.95
"""From this probability on a result is not explained by the number of tries alone."""
_EULER = 0.5772156649015329
_DAY_MS = 86_400_000
_NORMAL = NormalDist()


class Deflated(NamedTuple):
    """The Sharpe ratio of the best run (of a day), the one that luck alone gives the best of so many runs, and how
    probable it is that the true one is above that."""

    sharpe: float
    by_luck: float
    probability: float
    trials: int
    days: int


def deflated_sharpe(
    sharpe: float, *, days: int, skew: float, kurtosis: float, trials: int, variance_of_trials: float
) -> Deflated:
    """Return the deflated Sharpe ratio of the best of `trials` runs with `days` daily returns of these moments.

    `kurtosis` is 3 for a normal distribution; `variance_of_trials` is that of the Sharpe ratios of all runs.
    """
    by_luck = expected_best(trials, variance_of_trials)
    spread = math.sqrt(max(1e-12, 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2))
    probability = _NORMAL.cdf((sharpe - by_luck) * math.sqrt(days - 1) / spread)
    return Deflated(sharpe, by_luck, probability, trials, days)


def expected_best(trials: int, variance_of_trials: float) -> float:
    """Return the Sharpe ratio that the best of so many runs has on average if the true one of all is 0."""
    if trials < 2:
        return 0.0
    quantiles = _NORMAL.inv_cdf(1 - 1 / trials), _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(variance_of_trials) * ((1 - _EULER) * quantiles[0] + _EULER * quantiles[1])


def deflated_of(curves: Sequence[Sequence[tuple[int, float]]], cash: float) -> Deflated | None:
    """Return it for the best, the first, of some runs, from (ts, equity) of each; null if that cannot be computed."""
    returns = [daily_returns(curve, cash) for curve in curves]
    sharpes = [ratio for each in returns if (ratio := _sharpe(each)) is not None]
    best = _sharpe(returns[0]) if returns else None
    if best is None or len(returns[0]) < MIN_DAYS:
        return None
    skew, kurtosis = moments(returns[0])
    spread = variance(sharpes) if len(sharpes) > 1 else 0.0
    return deflated_sharpe(
        best, days=len(returns[0]), skew=skew, kurtosis=kurtosis, trials=len(sharpes), variance_of_trials=spread
    )


def daily_returns(curve: Sequence[tuple[int, float]], cash: float) -> list[float]:
    """Return the returns of UTC days; the equity at midnight is the last of the day before. Empty without any."""
    last = {(ts - 1) // _DAY_MS: equity for ts, equity in curve}
    values = [cash, *last.values()]
    if min(values) <= 0:
        return []
    return [after / before - 1 for before, after in pairwise(values)]


def moments(returns: Sequence[float]) -> tuple[float, float]:
    """Return skewness and kurtosis (3 for a normal distribution) of returns, of the population."""
    mean = fmean(returns)
    second, third, fourth = (fmean([(value - mean) ** power for value in returns]) for power in (2, 3, 4))
    return (third / second**1.5, fourth / second**2) if second > 0 else (0.0, 3.0)


def sentence(found: Deflated | None) -> str:
    """Say in words what the best result is worth."""
    if found is None:
        return f"The runs are too short to say how much of the best result is luck: less than {MIN_DAYS} days."
    year = math.sqrt(365)
    runs = "One run" if found.trials == 1 else f"The best of {found.trials:,} runs"
    luck = f" Luck alone would give the best of them {found.by_luck * year:.2f}." if found.trials > 1 else ""
    verdict = (
        "so the number of tries does not explain it."
        if found.probability >= LIKELY
        else "so it may well be luck: judge it on candles that it was not chosen by (--walk-forward)."
    )
    return (
        f"{runs} has a Sharpe ratio of {found.sharpe * year:.2f} a year over {found.days:,} days.{luck} Deflated Sharpe"
        f" ratio {found.probability:.2f}: that is how likely its true Sharpe ratio is above"
        f" {'0' if found.trials == 1 else 'that'}, {verdict}"
    )


def _sharpe(returns: Sequence[float]) -> float | None:
    if len(returns) < 2 or (spread := variance(returns)) <= 0:
        return None
    return fmean(returns) / math.sqrt(spread)
