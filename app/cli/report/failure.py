"""Why a session failed, or wrote nothing, for people: the strategy's file, line and source line, and the candle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.domain.utc import utc

WROTE_NOTHING = (
    "The strategy wrote nothing: no signal, order, plot or message. Check that on_candle is spelled so, that its"
    " condition can be true, and that the range is long enough for its indicators."
)


def failure_lines(error: str | None, details: Any) -> list[str]:
    """Return the error and, below it, where in the strategy and at which candle it was; nothing without an error."""
    if error is None:
        return []
    return [error, *location_lines(details)]


def location_lines(details: Any) -> list[str]:
    """Return where an error was: file and line, the source line, the candle; what is not known is left out."""
    if not isinstance(details, Mapping):
        return []
    lines = [f"  {details['at']}"] if details.get("at") else []
    lines += [f"    {details['source']}"] if details.get("source") else []
    lines += [f"  at the candle that opens at {utc(details['candleMs'])}"] if "candleMs" in details else []
    return lines


def short_location(details: Any) -> str:
    """Return file and line of an error for a list; empty when it is not known."""
    return str(details["at"]).partition(" in ")[0] if isinstance(details, Mapping) and details.get("at") else ""
