"""Numbers as files write them: with a comma or a point for decimals, thousands, currencies and units; always exact."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Context, Decimal, InvalidOperation

from app.candles.rows.row import Value

LARGEST_DIGITS = 100
"""A number has at most so many decimals; prices lie below 1e18 anyhow."""

_LONGEST = 300
_PLAIN = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,9})?")
_UNIT = re.compile(r"(.*[0-9.,])\s*(k|m|mm|mio|b|bn|t|tsd|mrd|thousand|million|billion|万|亿)\.?", re.IGNORECASE)
_UNITS = {
    "k": 3,
    "tsd": 3,
    "thousand": 3,
    "m": 6,
    "mm": 6,
    "mio": 6,
    "million": 6,
    "b": 9,
    "bn": 9,
    "mrd": 9,
    "billion": 9,
    "t": 12,
    "万": 4,
    "亿": 8,
}
_CURRENCY = re.compile(r"[$€£¥₹₿₩₽₺]|\b(?:USD|USDT|EUR|GBP|JPY|BTC|ETH)\b|(?:US|C|A|HK)\$", re.IGNORECASE)
_SPACES = re.compile(r"[ \u00a0\u202f\u2009'’]")
_SPACED = re.compile(r"[-+]?[0-9]{1,3}(?:[ \u00a0\u202f\u2009'’][0-9]{3})+(?:[.,][0-9]*)?")
_THOUSANDS = {".": re.compile(r"[-+]?[1-9][0-9]{0,2}(?:,[0-9]{2,3})*,[0-9]{3}(?:\.[0-9]*)?")}
_THOUSANDS[","] = re.compile(r"[-+]?[1-9][0-9]{0,2}(?:\.[0-9]{2,3})*\.[0-9]{3}(?:,[0-9]*)?")
_COMMA = re.compile(r"[-+]?[0-9]+,[0-9]+(?:[eE][-+]?[0-9]{1,3})?")
_EITHER = re.compile(r"[-+]?[1-9][0-9]{0,2},[0-9]{3}")
_NOTHING = {"", "nan", "null", "none", "na", "n/a", "#n/a", "-", "--", "nil", "undefined"}
_WIDE = Context(prec=200)


class NotANumberError(ValueError):
    """The text is no number."""


class UnknownDecimalError(ValueError):
    """The comma of a number may be a decimal or a thousands separator."""


def is_nothing(value: Value) -> bool:
    """Whether a cell holds no number at all: empty, NaN, null or a dash."""
    return str(value).strip().lower() in _NOTHING


def read_number(value: Value, decimal: str | None = ".") -> Decimal:
    """Read a number exactly; `decimal` is the decimal separator of the file, None where nothing proves it.

    Raises `NotANumberError`, and `UnknownDecimalError` for `1,234` where the separator is unknown.
    """
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return Decimal(value)
    text = str(value).strip()
    if _PLAIN.fullmatch(text) and (decimal != "," or "." not in text):
        return _decimal(text)
    return _written_out(text, decimal)


def _written_out(text: str, decimal: str | None) -> Decimal:
    if len(text) > _LONGEST:
        raise NotANumberError
    power = 0
    text = _CURRENCY.sub("", text.replace("−", "-")).strip()
    if text.startswith("(") and text.endswith(")"):
        text = f"-{text[1:-1]}"
    if match := _UNIT.fullmatch(text):
        text, power = match[1], _UNITS[match[2].lower()]
    if _SPACED.fullmatch(text):
        text = _SPACES.sub("", text)
    return _decimal(_pointed(text, decimal)).scaleb(power, _WIDE)


def _pointed(text: str, decimal: str | None) -> str:
    """Drop thousands separators and make the decimal separator a point."""
    if decimal is None:
        if _EITHER.fullmatch(text):
            raise UnknownDecimalError
        decimal = "," if _COMMA.fullmatch(text) and not _THOUSANDS["."].fullmatch(text) else "."
    if _THOUSANDS[decimal].fullmatch(text):
        text = text.replace("," if decimal == "." else ".", "")
    return text.replace(",", ".") if decimal == "," and "." not in text else text


def _decimal(text: str) -> Decimal:
    if not _PLAIN.fullmatch(text):
        raise NotANumberError
    try:
        return Decimal(text)
    except InvalidOperation:
        raise NotANumberError from None


def decimal_separator(cells: Iterable[str]) -> str | None:
    """Return the decimal separator that many numbers prove; None if none of them does."""
    proven = {",": 0, ".": 0}
    for cell in cells:
        text = _SPACES.sub("", _CURRENCY.sub("", cell)).rstrip("kKmMbBtT%")
        if separator := _proof(text):
            proven[separator] += 1
    if proven[","] == proven["."] == 0:
        return None
    return max(proven, key=lambda separator: proven[separator])


def _proof(text: str) -> str | None:
    """Return the decimal separator that a number proves."""
    point, comma = text.rfind("."), text.rfind(",")
    if point >= 0 and comma >= 0:
        return "." if point > comma else ","
    if comma >= 0:
        if text.count(",") > 1:
            return "."
        return "," if _COMMA.fullmatch(text) and not _EITHER.fullmatch(text) else None
    if point < 0 or not _PLAIN.fullmatch(text):
        return "," if text.count(".") > 1 and _THOUSANDS[","].fullmatch(text) else None
    return "."
