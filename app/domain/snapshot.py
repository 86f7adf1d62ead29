"""Snapshots of a session's state: exact values as JSON text, so that nothing is ever unpickled or evaluated.

Restored values are set on existing objects. A snapshot can name only the plain record classes listed here.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Any

from app.domain.market.candle import Candle
from app.domain.trading.account import FillTime, Lot, Position
from app.domain.trading.order import Bracket, Order, Trail
from app.domain.trading.settings import Sizing

SNAPSHOT_BYTES = 1 << 20
"""Maximum size of a stored snapshot, in bytes."""
_RECORDS: dict[str, Any] = {
    "Candle": Candle,
    "Moment": FillTime,
    "Lot": Lot,
    "Position": Position,
    "Trail": Trail,
    "Bracket": Bracket,
    "Sizing": Sizing,
}
"""Tag in stored snapshots -> record class. A tag never changes, even if the class is renamed."""
_TAGS = {kind: tag for tag, kind in _RECORDS.items()}
_SCALARS = (type(None), bool, int, float, str)


class InvalidSnapshotError(Exception):
    """A snapshot cannot be taken, or a stored one does not fit this state."""


def to_text(value: Any) -> str:
    """Return a value as JSON text; raises `InvalidSnapshotError` for one that could not be restored unchanged.

    Numbers, texts, decimals, lists, tuples, dicts and candles are possible; a list becomes `["list", ...]`, a decimal
    `["decimal", "1.50"]`, and so on.
    """
    try:
        text = json.dumps(_tagged(value), allow_nan=False, separators=(",", ":"))
    except (ValueError, RecursionError) as error:
        raise InvalidSnapshotError(f"a snapshot cannot hold this: {error}") from None
    if len(text) > SNAPSHOT_BYTES:
        raise InvalidSnapshotError(f"a snapshot has at most {SNAPSHOT_BYTES} bytes, this one {len(text)}")
    return text


def from_text(text: str) -> Any:
    """Parse what `to_text` returned; raises `InvalidSnapshotError` for anything else."""
    try:
        return _untagged(json.loads(text))
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError) as error:
        raise InvalidSnapshotError(f"this is no snapshot: {type(error).__name__}") from None


def _tagged(value: Any) -> Any:
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is Decimal:
        return ["decimal", str(value)]
    if kind is list or kind is tuple:
        return [kind.__name__, *map(_tagged, value)]
    if kind is dict:
        return ["dict", *([_tagged(key), _tagged(item)] for key, item in value.items())]
    if kind in _TAGS:
        return [_TAGS[kind], *map(_tagged, value)]
    raise InvalidSnapshotError(f"a snapshot cannot hold a {kind.__name__}")


def _untagged(value: Any) -> Any:
    if not isinstance(value, list):
        if isinstance(value, dict):
            raise ValueError("a dict is written as a list")
        return value
    tag, *rest = value
    if tag == "decimal":
        (text,) = rest
        return Decimal(str(text))
    if tag == "dict":
        return {_untagged(key): _untagged(item) for key, item in rest}
    values = map(_untagged, rest)
    if tag == "list":
        return list(values)
    return tuple(values) if tag == "tuple" else _RECORDS[tag](*values)


def keep(value: Any) -> Any:
    """Return a value for `to_text`; an object gives its attributes, or the result of its own `snapshot`."""
    kind = type(value)
    if kind in _SCALARS or kind in (Decimal, list, tuple) or kind in _TAGS:
        return value
    if kind is dict:
        return {key: keep(item) for key, item in value.items()}
    if kind is deque:
        return list(value)
    if hasattr(value, "snapshot"):
        return value.snapshot()
    return {name: keep(getattr(value, name)) for name in _attributes(value)}


def put_back(present: Any, stored: Any) -> Any:
    """Set the state that `keep` returned on a value of the same type, and return it.

    Raises `InvalidSnapshotError` if it does not fit.
    """
    kind = type(present)
    if kind in _SCALARS or kind in (Decimal, list, tuple) or kind in _TAGS:
        return stored
    if kind is deque:
        return deque(stored, present.maxlen)
    if kind is dict:
        return {key: put_back(present[key], item) if key in present else item for key, item in stored.items()}
    if hasattr(present, "restore"):
        present.restore(stored)
        return present
    if not isinstance(stored, Mapping) or list(stored) != _attributes(present):
        raise InvalidSnapshotError(f"a {kind.__name__} has other attributes now")
    for name, item in stored.items():
        setattr(present, name, put_back(getattr(present, name), item))
    return present


def _attributes(value: Any) -> list[str]:
    """Return the names of an object's attributes, in order."""
    names = [*getattr(type(value), "__slots__", ()), *getattr(value, "__dict__", ())]
    if not names:
        raise InvalidSnapshotError(f"a snapshot cannot hold a {type(value).__name__}")
    return names


_ORDER = tuple(item.name for item in fields(Order) if item.name != "sibling")


def orders_to_json(live: list[Order]) -> list[dict[str, Any]]:
    """Return live orders as JSON values; the other exit of a bracket is given by its id."""
    return [
        {**{name: getattr(order, name) for name in _ORDER}, "sibling": order.sibling and order.sibling.id}
        for order in live
    ]


def orders_from_json(stored: list[dict[str, Any]]) -> list[Order]:
    """Return the live orders from the result of `orders_to_json`; raises `TypeError`."""
    orders = {item["id"]: Order(**{**item, "sibling": None}) for item in stored}
    for item in stored:
        orders[item["id"]].sibling = orders.get(item["sibling"])
    return list(orders.values())
