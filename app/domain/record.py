"""A fast constructor for the named tuples of the hot path."""

from __future__ import annotations

from typing import Final

new_record: Final = tuple.__new__
"""`new_record(Event, (ts, type, body))` is `Event(ts, type, body)` at half the cost.

An unpaced session creates five such records per candle, which take about 3 % of its time.
"""
