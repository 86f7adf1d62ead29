"""How symbols were written when candles of them were stored: for people, and so that no two become one."""

from __future__ import annotations

from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from app.domain.market.symbol import display_form, normalize_symbol, separator_places
from app.errors import BadInputError

_KEEP: LiteralString = """
INSERT INTO market_symbols AS k (venue, symbol, spelling, separated) VALUES (%s, %s, %s, %s)
ON CONFLICT (venue, symbol) DO UPDATE SET separated = coalesce(k.separated, excluded.separated)
RETURNING separated"""


async def keep_spelling(conn: AsyncConnection[Any], venue: str, text: str) -> str | None:
    """Remember how a symbol is written, unless it was written before; return its first spelling with separators."""
    kept, has_separators = display_form(text), bool(separator_places(text))
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(_KEEP, (venue, normalize_symbol(text), kept, kept if has_separators else None))
        row = await cursor.fetchone()
    return row[0] if row else None


async def require_one_symbol(conn: AsyncConnection[Any], venue: str, text: str) -> None:
    """Remember how a symbol is written.

    Raises `BadInputError` where another spelling of the same stored form has its separators at different places: it
    may be another symbol (A-BC, AB-C).
    """
    known, places = await keep_spelling(conn, venue, text), separator_places(text)
    if known is not None and places and separator_places(known) != places:
        raise BadInputError(
            f"symbol: {display_form(text)} and {known}, of which venue {venue} has candles, would both be stored as"
            f" {normalize_symbol(text)}; write {known} if they are the same, else name another venue"
        )


async def spelling_for_files(conn: AsyncConnection[Any], venue: str, stored: str) -> str:
    """Return how a symbol is best written in names of files: its first spelling with separators, or its stored form."""
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute("SELECT separated FROM market_symbols WHERE venue = %s AND symbol = %s", (venue, stored))
        row = await cursor.fetchone()
    return row[0] if row and row[0] else stored
