"""What strategies declare, and sessions that meet or contradict it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from app.domain.session import SessionSpec, new_spec
from app.domain.trading.needs import Needs, declared_needs, meet_needs
from app.domain.trading.strategy import Strategy
from app.errors import BadInputError
from tests.support.running_engine import START_MS


class Constant(Strategy):
    timeframes = ("1h",)
    warmup = 480


class Computed(Strategy):
    slow: int = 20

    def timeframes(self) -> tuple[str, ...]:
        return ("4h", "1h")

    def warmup(self) -> int:
        return 24 * self.slow


class Parameters(Strategy):
    warmup: int = 7
    timeframes: str = "none"


def test_needs_are_attributes_or_methods_of_the_parameters() -> None:
    assert declared_needs(Constant()) == Needs(("1h",), 480)
    assert declared_needs(Computed(slow=10)) == Needs(("4h", "1h"), 240)
    assert declared_needs(Strategy()) == Needs()


def test_a_typed_attribute_stays_a_parameter() -> None:
    assert declared_needs(Parameters(warmup=9)) == Needs()
    assert Parameters(warmup=9).warmup == 9


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"timeframes": "1h"}, r"profileSlug: Wrong\.timeframes must be timeframes such as"),
        ({"timeframes": ("7m",)}, r"profileSlug: Wrong\.timeframes must be"),
        ({"warmup": -1}, r"profileSlug: Wrong\.warmup must be a number of candles"),
        ({"warmup": "20"}, r"profileSlug: Wrong\.warmup must be"),
        ({"warmup": 100_001}, r"profileSlug: Wrong\.warmup must be"),
    ],
)
def test_what_is_no_declaration_is_refused(members: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        declared_needs(type("Wrong", (Strategy,), members)())


def new(**given: Any) -> SessionSpec:
    plain: Mapping[str, Any] = {"profile_slug": "x", "venue": "demo", "symbols": ("A",), "start_ms": START_MS}
    return new_spec(plain | {"timeframe": "5m"} | given)


def test_fields_that_are_left_out_get_what_the_strategy_needs() -> None:
    met = meet_needs(new(), Needs(("4h", "1h"), 240))
    assert (met.extra_timeframes, met.warmup_candles) == (("1h", "4h"), 240)
    given = meet_needs(new(extra_timeframes=("1d", "1h", "4h"), warmup_candles=500), Needs(("4h", "1h"), 240))
    assert (given.extra_timeframes, given.warmup_candles) == (("1h", "4h", "1d"), 500)
    assert meet_needs(new(timeframe="1h"), Needs(("1h",))).extra_timeframes == ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"extra_timeframes": ()}, "extraTimeframes: the strategy needs 4h too; leave the field out"),
        ({"extra_timeframes": ("1h",)}, "extraTimeframes: the strategy needs 4h too"),
        ({"warmup_candles": 0}, "warmupCandles: the strategy needs at least 240, not 0; leave the field out"),
        ({"timeframe": "6h"}, "timeframe: the strategy needs longer candles than this: 4h does not consist of"),
    ],
)
def test_settings_that_contradict_the_strategy_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        meet_needs(new(**given), Needs(("4h",), 240))
