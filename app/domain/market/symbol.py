"""Symbols and venues: the one spelling in which they are stored, matched and answered."""

from __future__ import annotations

import re

from app.errors import BadInputError

SEPARATORS = str.maketrans("", "", "/-_")
"""What the spellings of a symbol may hold and its stored form does not."""

_SYMBOL = re.compile(r"[A-Z0-9.]{1,40}")
_VENUE = re.compile(r"[a-z0-9_-]{1,40}")


def normalize_symbol(text: str) -> str:
    """Return `text` in upper case without `/`, `-` and `_`; raises `BadInputError` when that is no symbol."""
    normalized = text.strip().upper().translate(SEPARATORS)
    if not _SYMBOL.fullmatch(normalized):
        raise BadInputError(f"symbol: {text[:60]!r} is not 1 to 40 letters, digits and dots")
    return normalized


def normalize_venue(text: str) -> str:
    """Return `text` in lower case; raises `BadInputError` unless it is 1 to 40 letters, digits, `_` and `-`."""
    normalized = text.strip().lower()
    if not _VENUE.fullmatch(normalized):
        raise BadInputError(f"venue: {text[:60]!r} is not 1 to 40 letters, digits, '_' and '-'")
    return normalized
