"""Named tuples created the short way."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.domain.event import Event
from app.domain.market.candle import Candle
from app.domain.record import new_record
from app.domain.tick import Slot


@pytest.mark.parametrize(
    "record",
    [
        Event(1, "log", "{}"),
        Slot(1, [], trailing=True),
        Candle("A", "1m", 0, 60_000, *map(Decimal, "12345"), synthetic=False),
    ],
)
def test_a_record_is_the_one_its_class_makes(record: Event | Slot | Candle) -> None:
    copy = new_record(type(record), tuple(record))
    assert (type(copy), copy, copy._asdict()) == (type(record), record, record._asdict())
