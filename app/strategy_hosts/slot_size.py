"""The limit on what a strategy writes at one candle."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain.event import PAYLOAD_BYTES, Event
from app.errors import StrategyFailedError


def require_small_slot(events: Sequence[Event], max_bytes: int) -> None:
    """Raise `StrategyFailedError` if the events of a slot are more than `max_bytes` of JSON text."""
    if len(events) * PAYLOAD_BYTES <= max_bytes:  # True of nearly every slot, and quicker than adding up.
        return
    size = sum(len(event.body) for event in events)
    if size > max_bytes:
        raise StrategyFailedError(
            f"The strategy wrote {len(events):,} events of {size:,} bytes at one candle; at most {max_bytes:,} bytes "
            "are allowed (ZEON_MAX_SLOT_BYTES)."
        )
