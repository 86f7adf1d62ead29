"""Symbols and venues: their normalized form, in which they are stored, compared and returned."""

from __future__ import annotations

import re
from unicodedata import category, normalize

from app.errors import BadInputError

SEPARATORS = str.maketrans("", "", "/-_")
"""Characters that a spelling of a symbol may have and its stored form does not."""

LONGEST = 40
"""Maximum length of a stored symbol."""

_NOT_ALLOWED = r"\x00-%'-*,;<>-@\[-\]`{-\x7f"
SYMBOL_FORM = f"^[/_-]{{0,40}}[^{_NOT_ALLOWED}/_-][^{_NOT_ALLOWED}]{{0,39}}$"
"""The form of a symbol as a pattern, for descriptions of the API; it takes every sign outside ASCII for a letter."""

VENUE_FORM = "^[A-Za-z0-9_-]{1,40}$"
"""The form of a venue, likewise."""

_PLAIN = re.compile(r"[A-Z0-9.^=:&+]{1,40}")
_SIGNS = ".^=:&+"
_KINDS = ("Lu", "Ll", "Lt", "Lm", "Lo", "Nd")
_UNSEEN = "\u115f\u1160\u3164\uffa0"
"""Invisible characters that count as letters: the Hangul fillers."""

_LONGEST_SPELLING = 3 * LONGEST
_SEPARATED = re.compile("[/_-]+")
_VENUE = re.compile(r"[a-z0-9_-]{1,40}")


def normalize_symbol(text: str) -> str:
    """Return the stored form of a symbol: NFKC, upper case, without `/`, `-` and `_`.

    A stored form stays as it is. Letters and digits of any script are allowed. Raises `BadInputError` for an invalid
    symbol.
    """
    stored = _upper(text.strip()).translate(SEPARATORS)
    if _PLAIN.fullmatch(stored) and len(text) <= _LONGEST_SPELLING:
        return stored
    wrong = next((char for char in stored if not _is_allowed(char)), None)
    if wrong is not None:
        raise BadInputError(
            f"symbol: {text[:60]!r} has {wrong!r}; only letters, digits and . ^ = : & + / - _ are allowed"
        )
    if not 1 <= len(stored) <= LONGEST or len(text) > _LONGEST_SPELLING:
        raise BadInputError(
            f"symbol: {text[:60]!r} is not 1 to {LONGEST} letters, digits and . ^ = : & + (/ - _ left out)"
        )
    return stored


def display_form(text: str) -> str:
    """Return a symbol as the user wrote it, in NFKC, for display; raises what `normalize_symbol` raises."""
    normalize_symbol(text)
    return normalize("NFKC", text.strip())


def separator_positions(text: str) -> tuple[int, ...]:
    """Return the positions of a spelling's separators: after how many characters of the stored form each one is.

    `BTC/USDT` and `btc-usdt` give (3,), `BTCUSDT` gives (). Separators at the start or end do not count.
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
    """Return text in upper case and NFKC; `upper` may decompose a letter, so it is normalized again."""
    return text.upper() if text.isascii() else normalize("NFKC", normalize("NFKC", text).upper())


def _is_allowed(char: str) -> bool:
    """Whether a character is allowed in a stored symbol; modifier letters that look like quotes are not."""
    if char.isascii():
        return char.isalnum() or char in _SIGNS
    return category(char) in _KINDS and char not in _UNSEEN and not "\u02b0" <= char <= "\u02ff"
