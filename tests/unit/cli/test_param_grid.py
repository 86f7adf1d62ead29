"""What the parameters of a sweep stand for."""

from __future__ import annotations

import pytest

from app.cli.research.param_grid import parse_grid
from app.errors import BadInputError


def test_ranges_lists_and_single_values_are_combined_the_last_changing_fastest() -> None:
    assert parse_grid(["fast=5..15:5", "side=long,both"]) == [
        {"fast": fast, "side": side} for fast in (5, 10, 15) for side in ("long", "both")
    ]
    assert [row["x"] for row in parse_grid(["x=0.1..0.5:0.1"])] == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert parse_grid(["a=1..3", "b=true"]) == [{"a": a, "b": True} for a in (1, 2, 3)]
    assert parse_grid(["a=-2..-1"]) == [{"a": -2}, {"a": -1}]
    assert parse_grid([]) == [{}]


@pytest.mark.parametrize("text", ["fast", "=5", "fast=", "fast=5..1", "fast=1..5:0", "fast=1..9999999"])
def test_what_is_no_parameter_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="param"):
        parse_grid([text])


def test_a_parameter_given_twice_and_too_many_combinations_are_refused() -> None:
    for texts in (["a=1", "a=2"], ["a=1..1000", "b=1..1000"]):
        with pytest.raises(BadInputError, match="param"):
            parse_grid(texts)
