"""How sizes are read."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from app.domain.trading.settings import Sizing, parse_sizing
from app.errors import BadInputError


def test_a_size_is_a_quantity_money_or_a_share_of_equity() -> None:
    assert parse_sizing({"qty": 2}) == Sizing("qty", Decimal(2))
    assert parse_sizing({"cash": "10.5"}) == Sizing("cash", Decimal("10.5"))
    assert parse_sizing({"equityPct": 12.5, "qtyStep": 0.001}) == Sizing("equityPct", Decimal("12.5"), Decimal("0.001"))


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"qty": 1, "cash": 1},
        {"qty": 1, "other": 1},
        {"qty": 0},
        {"qty": -1},
        {"cash": "x"},
        {"qty": True},
        {"qty": None},
    ],
)
def test_any_other_size_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(BadInputError, match=r"^sizing"):
        parse_sizing(value)
