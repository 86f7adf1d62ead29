"""Times as files write them: a number since the epoch, digits without separators, or a date in words and figures."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import NamedTuple

from app.candles.rows.read_options import DateOrder
from app.candles.rows.zones import known_zone

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - without a zone, as the walls it is compared with
MILLISECOND = timedelta(milliseconds=1)
ORDERS: tuple[DateOrder, ...] = ("dmy", "mdy", "ymd")

MS_FROM, MS_TO = 10**11, 10**14
"""Whole numbers in this range are milliseconds, smaller ones seconds, larger ones microseconds and so on."""

EARLIEST_MS, LATEST_MS = -5_364_662_400_000, 7_258_118_400_000
"""Candles open between 1800 and 2200."""

LONGEST = 100
"""No time takes so many characters."""

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january januar janvier enero gennaio ene gen janv januari janeiro",
            "feb february februar fevrier febrero febbraio fev fevr februari fevereiro",
            "mar march marz maerz mars marzo mrz mrt maart marco",
            "apr april avril abril aprile avr abr",
            "may mai mayo maggio mag mei maio",
            "jun june juni juin junio giugno giu junho",
            "jul july juli juillet julio luglio lug juil julho",
            "aug august aout agosto ago augustus",
            "sep sept september septembre septiembre settembre set setembro",
            "oct october oktober octobre octubre ottobre okt ott outubro out",
            "nov november novembre noviembre novembro",
            "dec december dezember decembre diciembre dicembre dez dic dezembro",
        ),
        1,
    )
    for name in names.split()
}
_WEEKDAY = re.compile(r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*[.,]?\s+", re.IGNORECASE)
_YEAR_FIRST = re.compile(r"([0-9]{4})([-/.]) ?([0-9]{1,2})\2 ?([0-9]{1,2})")
_YEAR_LAST = re.compile(r"([0-9]{1,2})([-/.]) ?([0-9]{1,2})\2 ?([0-9]{4}|[0-9]{2})(?![0-9])")
_DAY_MONTH = re.compile(r"([0-9]{1,2})[-. /]*([^\W\d_]{3,10})[-., /]+([0-9]{4}|[0-9]{2})(?![0-9])")
_MONTH_DAY = re.compile(r"([^\W\d_]{3,10})[-. ]+([0-9]{1,2})(?:st|nd|rd|th)?[-, ]+([0-9]{4})(?![0-9])")
_YEAR_MONTH_NAME = re.compile(r"([0-9]{4})[-. /]([^\W\d_]{3,10})[-. /]([0-9]{1,2})(?![0-9])")
_MONTH_DAY_TIME_YEAR = re.compile(r"([^\W\d_]{3,10}) +([0-9]{1,2}) +([0-9:.]{5,15}) +([^ ]+ +)?([0-9]{4})")
_COMPACT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?![0-9])")
_CLOCK = re.compile(
    r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,:]([0-9]{1,9}))?)?(?:\s*([AaPp])\.?[Mm](?![A-Za-z])\.?)?(?![0-9:])"
)
_HOUR = re.compile(r"(0?[1-9]|1[0-2])[- ]?([AaPp])[Mm]\b")
_BARE_CLOCK = re.compile(r"([0-9]{2})([0-9]{2})(?:([0-9]{2})([0-9]{3})?)?(?![0-9])")
_DIGITS = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})([0-9]{3})?)?)?")
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-][0-9]{1,2}(?::?[0-9]{2})?)\b", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,24})(?:\.[0-9]*)?(?:[eE][-+]?[0-9]{1,2})?")
"""A number since the epoch; digits with zeros in front are a time of day or an index."""
_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:[+-][0-9]{2}:[0-9]{2})?)?"
)
_ASIAN = str.maketrans({"年": "-", "月": "-", "日": " ", "년": "-", "월": "-", "일": " ", "時": ":", "时": ":"})


class NotATimeError(ValueError):
    """The text is no time."""


class UnknownOrderError(ValueError):
    """A date can be read in more than one order of day and month."""


class Wall(NamedTuple):
    """A local time: date and time of day, and the zone if the text names one."""

    moment: datetime
    zone: tzinfo | None
    clock: bool


def epoch_ms(text: str, *, small_ms: bool = False) -> int | None:
    """Read a number of seconds, ms, us or ns since the epoch, distinguished by size; None if the text is no number.

    Numbers too small to be ms after 1973 are seconds, or with `small_ms` ms of the years around 1970.
    """
    if not _NUMBER.fullmatch(text):
        return None
    number = Decimal(text)
    if number.adjusted() > 20:
        return None
    if abs(number) < MS_FROM:
        return int(number) if small_ms else int(number * 1_000)
    return _scaled_ms(int(number))


def _scaled_ms(number: int) -> int:
    """Take a whole number of ms, us or ns as ms."""
    size = abs(number)
    if size < MS_TO:
        return number
    return number // 1_000 if size < MS_TO * 1_000 else number // 1_000_000


def compact(text: str) -> Wall | None:
    """Read `YYYYMMDD`, followed by hours, minutes, seconds and ms or not; None for other digits."""
    if len(text) == 8 and (match := _COMPACT.fullmatch(text)):
        return _wall(_day(*map(int, match.groups())), None, None)
    match = _DIGITS.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, ms = (int(part or 0) for part in match.groups())
    try:
        return _wall(_day(year, month, day), _clock(hour, minute, second, ms * 1_000), None)
    except NotATimeError:
        return None


def wall(text: str, order: DateOrder | None = None) -> Wall:
    """Read a date, with a time of day and a zone or not.

    Raises `UnknownOrderError` if day, month and year can be read in several orders and `order` gives none of
    them, `NotATimeError` for text that is no time.
    """
    if _ISO.fullmatch(text):
        try:
            moment = datetime.fromisoformat(text)
            return Wall(moment.replace(tzinfo=None), moment.tzinfo, len(text) > 10)
        except ValueError:
            pass  # For example 24:00; the error is raised below.
    if len(text) > LONGEST:
        raise NotATimeError
    text = _plain(text)
    day, rest = _date(text, order)
    clock, rest = _time_of_day(rest.lstrip(" T,_:;-/"))
    match = _wall(day, clock, _zone(rest.strip(" ,")))
    if match is None:
        raise NotATimeError
    return match


def orders_of(text: str) -> tuple[DateOrder, ...]:
    """List the orders of day, month and year in which a text is a date; all of them if its form is unambiguous."""
    match = _YEAR_LAST.match(_plain(text[:LONGEST]))
    if match is None or _YEAR_FIRST.match(text):
        return ORDERS
    return tuple(order for order in _usual(match) if _ordered(match, order) is not None)


def _plain(text: str) -> str:
    text = text.strip().strip("[]'\"")
    if not text.isascii():
        if any(letter.isdigit() and not letter.isascii() for letter in text):
            raise NotATimeError
        letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFC", text).translate(_ASIAN))
        text = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return _WEEKDAY.sub("", text, count=1)


def _date(text: str, order: DateOrder | None) -> tuple[date | None, str]:
    """Split a text into its date and what follows."""
    if match := _YEAR_FIRST.match(text) or _COMPACT.match(text):
        year, *rest = (int(part) for part in match.groups() if part.isdecimal())
        return _day(year, *rest), text[match.end() :]
    if match := _YEAR_LAST.match(text):
        return _either_way(match, order), text[match.end() :]
    return _with_month_name(text)


def _with_month_name(text: str) -> tuple[date | None, str]:
    if match := _MONTH_DAY_TIME_YEAR.match(text):  # Mar 4 10:00:00 2024, with a zone before the year or not
        name, day, clock, zone, year = match.groups()
        return _named_day(year, name, day), f"{clock} {zone or ''}{text[match.end() :]}"
    if match := _DAY_MONTH.match(text):
        return _named_day(match[3], match[2], match[1]), text[match.end() :]
    if match := _MONTH_DAY.match(text):
        return _named_day(match[3], match[1], match[2]), text[match.end() :]
    if match := _YEAR_MONTH_NAME.match(text):
        return _named_day(match[1], match[2], match[3]), text[match.end() :]
    return None, text


def _named_day(year: str, name: str, day: str) -> date | None:
    month = _MONTHS.get(name.lower())
    return None if month is None else _day(_full_year(year), month, int(day))


def _either_way(match: re.Match[str], order: DateOrder | None) -> date | None:
    if order is not None:
        return _ordered(match, order)
    days = {day for order_ in _usual(match) if (day := _ordered(match, order_)) is not None}
    if len(days) > 1:
        raise UnknownOrderError
    return days.pop() if days else None


def _usual(match: re.Match[str]) -> tuple[DateOrder, ...]:
    """List the orders in use: a year of two digits comes first only in front of a hyphen."""
    return ORDERS if match[2] == "-" else ORDERS[:2]


def _ordered(match: re.Match[str], order: DateOrder) -> date | None:
    first, second, third = match[1], match[3], match[4]
    if order == "ymd":
        return _day(_full_year(first), int(second), int(third)) if len(third) == 2 and len(first) == 2 else None
    day, month = (first, second) if order == "dmy" else (second, first)
    return _day(_full_year(third), int(month), int(day))


def _full_year(text: str) -> int:
    """Read a year; of two digits, 70 to 99 are of the last century."""
    year = int(text)
    return year if len(text) > 2 else year + (1900 if year >= 70 else 2000)


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _time_of_day(text: str) -> tuple[timedelta | None, str]:
    """Split a text into its time of day and what follows; raises `NotATimeError` for 23:59:60 and the like."""
    if match := _CLOCK.match(text):
        hour, minute, second = (int(part or 0) for part in match.groups()[:3])
        if match[5]:
            if not 1 <= hour <= 12:
                raise NotATimeError
            hour = hour % 12 + (12 if match[5][0] in "pP" else 0)
        return _clock(hour, minute, second, int((match[4] or "").ljust(6, "0")[:6])), text[match.end() :]
    if match := _HOUR.match(text):
        return _clock(int(match[1]) % 12 + (12 if match[2] in "pP" else 0), 0, 0, 0), text[match.end() :]
    if match := _BARE_CLOCK.match(text):
        hour, minute, second, ms = (int(part or 0) for part in match.groups())
        return _clock(hour, minute, second, ms * 1_000), text[match.end() :]
    return None, text


def _clock(hour: int, minute: int, second: int, microsecond: int) -> timedelta:
    if hour > 24 or minute > 59 or second > 59 or (hour == 24 and (minute or second or microsecond)):
        raise NotATimeError
    return timedelta(hours=hour, minutes=minute, seconds=second, microseconds=microsecond)


def _zone(text: str) -> tzinfo | None:
    """Read the zone after a time, as in `Z`, `+01:00`, `+0000 UTC`, `GMT+0100 (CET)` or `[Europe/London]`."""
    if not text:
        return None
    offset = _OFFSET.match(text)
    zone = known_zone(offset[1] if offset else text.strip("[]()"))
    if zone is None:
        raise NotATimeError
    return zone


def _wall(day: date | None, clock: timedelta | None, zone: tzinfo | None) -> Wall | None:
    if day is None:
        return None
    try:
        return Wall(datetime(day.year, day.month, day.day) + (clock or timedelta(0)), zone, clock is not None)  # noqa: DTZ001
    except OverflowError:
        return None


def utc_ms(moment: datetime) -> int:
    """Return the ms since the epoch of a time on a wall clock in UTC."""
    return (moment - EPOCH) // MILLISECOND


def zoned_ms(moment: datetime, zone: tzinfo) -> int:
    """Return the ms since the epoch of a time on a wall clock in a zone, as its `fold` says where there are two."""
    offset = zone.utcoffset(moment.replace(tzinfo=zone))
    return utc_ms(moment - (offset or timedelta(0)))


def local(time_ms: int, zone: tzinfo) -> datetime:
    """Return the local time in a zone."""
    return (EPOCH + timedelta(milliseconds=time_ms)).replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
