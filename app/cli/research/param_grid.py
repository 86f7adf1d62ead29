"""The parameters of a sweep: `fast=5..50:5` is a range with a step, `side=long,both` a list."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import product
from typing import Any, NamedTuple

from app.errors import BadInputError

_NUMBER = r"-?\d+(?:\.\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?::({_NUMBER}))?")
_MAX_COMBINATIONS = 100_000


class Axis(NamedTuple):
    """A parameter and its values; those of a range are in order."""

    name: str
    values: list[Any]
    in_order: bool


def parse_axes(texts: Sequence[str]) -> list[Axis]:
    """Return the parameters and their values; raises `BadInputError`."""
    axes = [_axis(text) for text in texts]
    if len({axis.name for axis in axes}) != len(axes):
        raise BadInputError("param: one parameter is given twice")
    return axes


def parse_grid(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return every combination of the parameters' values, the last one changing fastest; raises `BadInputError`."""
    return combinations(parse_axes(texts))


def combinations(axes: Sequence[Axis]) -> list[dict[str, Any]]:
    """Return every combination of the values; raises `BadInputError` for too many."""
    count = 1
    for axis in axes:
        count *= len(axis.values)
    if count > _MAX_COMBINATIONS:
        raise BadInputError(f"param: {count} combinations, at most {_MAX_COMBINATIONS} are allowed; try --search N")
    names = [axis.name for axis in axes]
    return [dict(zip(names, values, strict=True)) for values in product(*(axis.values for axis in axes))]


def _axis(text: str) -> Axis:
    name, equals, values = text.partition("=")
    if not (name and equals and values):
        raise BadInputError(f"param: {text[:60]!r} is not NAME=VALUES, as in fast=5..50:5 or side=long,both")
    matched = _RANGE.fullmatch(values)
    if matched:
        return Axis(name, _range(text, *matched.groups()), in_order=True)
    return Axis(name, [_value(word) for word in values.split(",")], in_order=False)


def _range(text: str, first: str, last: str, step: str | None) -> list[Any]:
    low, high, increment = Decimal(first), Decimal(last), Decimal(step or 1)
    if increment <= 0 or high < low:
        raise BadInputError(f"param: {text[:60]!r} is an empty range")
    count = int((high - low) / increment) + 1
    if count > _MAX_COMBINATIONS:
        raise BadInputError(f"param: {text[:60]!r} has more than {_MAX_COMBINATIONS} values")
    return [_number(low + increment * i) for i in range(count)]


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _value(word: str) -> Any:
    """Parse a JSON value; any other word is text."""
    try:
        return json.loads(word)
    except json.JSONDecodeError:
        return word
