"""Durations as people write them: 90m, 12h, 30d."""

from __future__ import annotations

import re

from app.errors import BadInputError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_duration(text: str) -> int:
    """Return a duration such as `90m` or `30d` in seconds; raises `BadInputError`."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhdw])", text.strip())
    if match is None:
        raise BadInputError(f"{text[:40]!r} is not a duration such as 90m, 12h or 30d")
    return int(match[1]) * _SECONDS[match[2]]
