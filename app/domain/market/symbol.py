"""Symbols and venues: the one form in which they are stored, matched and answered."""

from __future__ import annotations

import re
from unicodedata import category, normalize

from app.errors import BadInputError

SEPARATORS = str.maketrans("", "", "/-_")
"""What the spellings of a symbol may hold and its stored form does not."""

LONGEST = 40
"""The most characters a symbol may have as it is stored."""

_PLAIN = re.compile(r"[A-Z0-9.^=:&+]{1,40}")
_SIGNS = ".^=:&+"
_KINDS = ("Lu", "Ll", "Lt", "Lm", "Lo", "Nd")
_UNSEEN = "\u115f\u1160\u3164\uffa0"
"""Letters by their kind that nobody sees: the fillers of Hangul."""

_LONGEST_SPELLING = 3 * LONGEST
_SEPARATED = re.compile("[/_-]+")
_VENUE = re.compile(r"[a-z0-9_-]{1,40}")


def normalize_symbol(text: str) -> str:
    """Return the stored form of a symbol: NFKC, upper case, without `/`, `-` and `_`.

    The stored form of a stored form is itself. Letters and digits are those of any script. Raises `BadInputError` for
    what is no symbol.
    """
    stored = _upper(text.strip()).translate(SEPARATORS)
    if _PLAIN.fullmatch(stored) and len(text) <= _LONGEST_SPELLING:
        return stored
    wrong = next((char for char in stored if not _is_allowed(char)), None)
    if wrong is not None:
        raise BadInputError(f"symbol: {text[:60]!r} holds {wrong!r}; letters, digits and . ^ = : & + / - _ are allowed")
    if not 1 <= len(stored) <= LONGEST or len(text) > _LONGEST_SPELLING:
        raise BadInputError(
            f"symbol: {text[:60]!r} is not 1 to {LONGEST} letters, digits and . ^ = : & + (/ - _ left out)"
        )
    return stored


def display_form(text: str) -> str:
    """Return a symbol as it was written, in NFKC, to show it to people; raises as `normalize_symbol` does."""
    normalize_symbol(text)
    return normalize("NFKC", text.strip())


def separator_places(text: str) -> tuple[int, ...]:
    """Return behind how many characters of the stored form a spelling has separators, those at its ends left out.

    `BTC/USDT` and `btc-usdt` have one behind 3, `BTCUSDT` has none.
    """
    parts = [part for part in _SEPARATED.split(_upper(text.strip())) if part]
    return tuple(len("".join(parts[:count])) for count in range(1, len(parts)))


def normalize_venue(text: str) -> str:
    """Return `text` in lower case; raises `BadInputError` unless it is 1 to 40 letters, digits, `_` and `-`."""
    normalized = text.strip().lower()
    if not _VENUE.fullmatch(normalized):
        raise BadInputError(f"venue: {text[:60]!r} is not 1 to 40 letters, digits, '_' and '-'")
    return normalized


def _upper(text: str) -> str:
    """Return text in upper case and NFKC; upper case may take a letter apart, so it is composed again."""
    return text.upper() if text.isascii() else normalize("NFKC", normalize("NFKC", text).upper())


def _is_allowed(char: str) -> bool:
    """Whether a character may stand in a stored symbol; modifier letters that look like quotes may not."""
    if char.isascii():
        return char.isalnum() or char in _SIGNS
    return category(char) in _KINDS and char not in _UNSEEN and not "\u02b0" <= char <= "\u02ff"
