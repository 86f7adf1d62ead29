"""Parameters, their schema and what a strategy's calls refuse."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field

from app.domain.trading.strategy import Strategy
from app.errors import BadInputError
from tests.support.trading import bars, fills, of, play


class Example(Strategy):
    """An example."""

    kinds: ClassVar[list[str]] = []
    length: Annotated[int, Field(ge=1, le=500)] = 20
    side: Literal["long", "both"] = "long"
    level: Decimal = Decimal("1.5")
    name: str
    _state: int = 0


def test_typed_attributes_are_parameters() -> None:
    example = Example(name="x", level=2.25, length=7)
    assert (example.length, example.side, example.level, example.name) == (7, "long", Decimal("2.25"), "x")


def test_a_class_without_a_description_has_none_of_its_parent_s() -> None:
    class Silent(Example):
        pass

    assert Silent.parameter_schema()["description"] == ""


def test_the_schema_says_types_bounds_defaults_and_what_is_required() -> None:
    schema = Example.parameter_schema()
    assert schema["description"] == "An example."
    assert schema["required"] == ["name"]
    assert schema["additionalProperties"] is False
    assert list(schema["properties"]) == ["length", "side", "level", "name"]
    assert schema["properties"]["length"] == {"type": "integer", "minimum": 1, "maximum": 500, "default": 20}
    assert schema["properties"]["side"]["enum"] == ["long", "both"]


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"lenght": 3, "name": "x"}, "config.lenght: Example has no such parameter; did you mean length?"),
        ({"zzz": 3, "name": "x"}, "config.zzz: Example has no such parameter; known are length, side, level, name"),
        ({}, "config.name: this parameter is required"),
        ({"name": "x", "length": 0}, "config.length: Input should be greater than or equal to 1"),
        ({"name": "x", "length": "3"}, "config.length: Input should be a valid integer"),
        ({"name": "x", "length": True}, "config.length: Input should be a valid integer"),
        ({"name": "x", "side": "short"}, "config.side: Input should be 'long' or 'both'"),
        ({"name": 5}, "config.name: Input should be a valid string"),
    ],
)
def test_a_wrong_config_is_refused_in_a_sentence(config: dict, sentence: str) -> None:
    with pytest.raises(BadInputError) as refused:
        Example(**config)
    assert refused.value.message == sentence


def test_parameters_are_inherited_and_may_not_hide_what_the_base_offers() -> None:
    class Child(Example):
        """A child."""

        length = 30
        extra: int = 1

    assert (Child(name="x").length, Child(name="x").extra) == (30, 1)

    class Hiding(Strategy):
        """Hides."""

        position: int = 1

    with pytest.raises(TypeError, match="may not be called position"):
        Hiding()


@pytest.mark.parametrize(
    ("ticket", "error", "sentence"),
    [
        ({"limt": 5}, TypeError, "an order has no limt; did you mean limit?"),
        ({"qty": 0}, ValueError, "qty must be above zero, not 0"),
        ({"qty": float("nan")}, ValueError, "qty is NaN: an indicator has no value yet"),
        ({"qty": "many"}, ValueError, "'many' is not a number"),
        ({"qty": Decimal("1E+99")}, ValueError, "qty has more than 40 digits"),
        ({"qty": 1, "cash": 1}, TypeError, "give one of qty, cash and equity_pct"),
        ({"trail": 1, "limit": 1}, TypeError, "a trailing stop takes either"),
        ({"good_for": 0}, ValueError, "good_for must be a whole number"),
        ({"tag": "x" * 2000}, ValueError, "a name, tag or reason is text of at most 1000 characters"),
        ({"symbol": "ETH"}, ValueError, "ETH is not a symbol of this session: BTC"),
    ],
)
def test_a_wrong_order_is_the_strategys_error(ticket: dict, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence.replace("?", r"\?")):
        play(bars("100"), {0: lambda s: s.buy(**ticket)})


def test_numbers_may_be_int_float_decimal_or_text() -> None:
    actions = {
        0: lambda s: [s.buy(qty=qty) for qty in (1, 0.1, Decimal("0.01"), "0.001")],
    }
    events = play(bars("1", "1"), actions)
    assert [qty for _, qty, _ in fills(events)] == ["1", "0.1", "0.01", "0.001"]


def test_a_strategy_sees_position_cash_equity_and_orders() -> None:
    seen = []

    def look(s: Strategy) -> None:
        seen.append((s.position.qty, s.position.avg_price, s.cash, s.equity, [order.id for order in s.orders]))

    actions = {0: lambda s: (s.buy(qty=2), s.sell(qty=1, limit=500), look(s)), 1: look}
    play(bars("100", "110 110 110 120"), actions)
    assert seen == [(0, 0, 10_000, 10_000, [1, 2]), (2, 110, 9_780, 10_020, [2])]


def test_what_a_strategy_sees_is_read_only() -> None:
    def grab(s: Strategy) -> None:
        s.positions["BTC"] = None  # type: ignore[index]

    with pytest.raises(TypeError, match="does not support item assignment"):
        play(bars("1"), {0: grab})
    with pytest.raises(AttributeError):
        play(bars("1"), {0: lambda s: setattr(s, "cash", 5)})


def test_closing_nothing_does_nothing() -> None:
    assert of(play(bars("1"), {0: lambda s: s.close()}), "order") == []


def test_a_strategy_outside_a_session_cannot_act() -> None:
    with pytest.raises(RuntimeError, match="only in a session"):
        Example(name="x").buy()
