"""Times as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)  # Formatting a time without a zone is faster.


def utc(time_ms: int) -> str:
    """Return ms since the epoch as the text of a UTC time; after the year 9999 the number."""
    try:
        moment = _EPOCH + timedelta(milliseconds=time_ms)
    except OverflowError:
        return str(time_ms)
    precision = "milliseconds" if time_ms % 1000 else "seconds"
    return f"{moment.isoformat(' ', precision)}Z"
