"""Creates the named tuples of the hot path."""

from __future__ import annotations

from typing import Final

new_record: Final = tuple.__new__
"""`new_record(Event, (ts, type, body))` is `Event(ts, type, body)` at half its cost.

Five such records are created per candle of an unpaced session, some 3 % of all it takes.
"""
