"""Time zones by the names that files and users give them."""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from app.errors import BadInputError

_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([+-])([0-9]{1,2})(?::?([0-9]{2}))?(?::?[0-9]{2})?", re.IGNORECASE)
_HOURS = {
    "UTC": 0.0,
    "Z": 0.0,
    "GMT": 0.0,
    "UT": 0.0,
    "WET": 0.0,
    "WEST": 1.0,
    "BST": 1.0,
    "CET": 1.0,
    "CEST": 2.0,
    "MEZ": 1.0,
    "MESZ": 2.0,
    "EET": 2.0,
    "EEST": 3.0,
    "MSK": 3.0,
    "SAST": 2.0,
    "HKT": 8.0,
    "SGT": 8.0,
    "JST": 9.0,
    "KST": 9.0,
    "AEST": 10.0,
    "AEDT": 11.0,
    "ACST": 9.5,
    "ACDT": 10.5,
    "AWST": 8.0,
    "NZST": 12.0,
    "NZDT": 13.0,
    "EST": -5.0,
    "EDT": -4.0,
    "CDT": -5.0,
    "MST": -7.0,
    "MDT": -6.0,
    "PST": -8.0,
    "PDT": -7.0,
    "BRT": -3.0,
    "AKST": -9.0,
    "AKDT": -8.0,
    "HST": -10.0,
}
"""Abbreviations that name one offset. IST (three countries) is none of them; CST (two countries) neither."""
_AMBIGUOUS = {"IST": "Asia/Kolkata, Europe/Dublin or Asia/Jerusalem", "CST": "America/Chicago or Asia/Shanghai"}
_LARGEST = timedelta(hours=15)


_WITH_SUMMER = ("CET", "EET", "MET", "WET")
"""Abbreviations that, as the name of a place's clock, have summer time; behind a single time they are one offset."""


def is_zone(name: str) -> bool:
    """Whether a name is that of one time zone."""
    return name in _WITH_SUMMER or known_zone(name) is not None


def find_zone(name: str) -> tzinfo:
    """Return the zone of a name such as `Europe/Berlin`, `EST` or `+02:00`; raises `BadInputError` for others."""
    zone = ZoneInfo(name.upper()) if name.upper() in _WITH_SUMMER else known_zone(name)
    if zone is None:
        hint = _AMBIGUOUS.get(name.strip().upper())
        advice = f"write {hint}" if hint else "write it as in Europe/Berlin, EST or +02:00"
        raise BadInputError(f"timeZone: {name[:40]!r} is not the name of one time zone; {advice}")
    return zone


@lru_cache(256)
def known_zone(name: str) -> tzinfo | None:
    """Return the zone of a name; None where it names none, or more than one."""
    name = name.strip()
    if name.upper() in _HOURS:
        return _fixed(timedelta(hours=_HOURS[name.upper()]))
    if match := _OFFSET.fullmatch(name):
        size = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        return _fixed(size if match[1] == "+" else -size) if size < _LARGEST else None
    if name.upper() in _AMBIGUOUS or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*", name):
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        return None


def _fixed(offset: timedelta) -> tzinfo:
    return timezone(offset) if offset else UTC
