"""The rule sets of broker, warm-up and figures: what differs between them, and nothing else.

A session keeps the rule set it was made with, so that its log can always be recomputed. To change a rule, add a set.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class RuleSet(NamedTuple):
    """One rule set; each field is a question that the sets answer differently.

    `stops_trigger_without_volume`: a stop that is reached triggers even if the candle's share of the volume is used
    up, and what is left of a triggered or partly filled stop is a market order. `whole_order_judged`: the margin is
    checked once, at the first fill and for the whole order, instead of for each part. `exits_checked`: exits on the
    wrong side of the entry are rejected, and the take-profit of an entry inside a candle waits for the next candle even
    at the entry price. `drawdown_from_cash`: the first peak of the equity is the initial cash. `longer_candles_warmed`:
    the warm-up includes the longer candles that close in it.
    """

    stops_trigger_without_volume: bool
    whole_order_judged: bool
    exits_checked: bool
    drawdown_from_cash: bool
    longer_candles_warmed: bool


RULE_SETS: Final = {1: RuleSet(False, False, False, False, False), 2: RuleSet(True, True, True, True, True)}
"""Number -> rule set. Set 1 is that of sessions made by version 0.1.0 and before."""

FIRST_RULES: Final = 1
NEWEST_RULES: Final = 2
