"""The spellings of symbols when their candles were stored: for display, and so that no two symbols become one."""

from __future__ import annotations

from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from app.domain.market.symbol import display_form, normalize_symbol, separator_positions
from app.errors import BadInputError

_STORE: LiteralString = """
INSERT INTO market_symbols AS k (venue, symbol, spelling, separated) VALUES (%s, %s, %s, %s)
ON CONFLICT (venue, symbol) DO UPDATE SET separated = coalesce(k.separated, excluded.separated)
RETURNING separated"""


async def store_spelling(conn: AsyncConnection[Any], venue: str, text: str) -> str | None:
    """Store the spelling of a symbol unless it has one; return its first spelling with separators."""
    spelling, has_separators = display_form(text), bool(separator_positions(text))
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(_STORE, (venue, normalize_symbol(text), spelling, spelling if has_separators else None))
        row = await cursor.fetchone()
    return row[0] if row else None


async def require_one_symbol(conn: AsyncConnection[Any], venue: str, text: str) -> None:
    """Store the spelling of a symbol.

    Raises `BadInputError` if another spelling of the same stored form has its separators at different positions: it
    may be another symbol (A-BC, AB-C).
    """
    known, positions = await store_spelling(conn, venue, text), separator_positions(text)
    if known is not None and positions and separator_positions(known) != positions:
        raise BadInputError(
            f"symbol: {display_form(text)} and {known}, of which venue {venue} has candles, would both be stored as"
            f" {normalize_symbol(text)}; write {known} if they are the same, else name another venue"
        )


async def spelling_for_files(conn: AsyncConnection[Any], venue: str, stored: str) -> str:
    """Return the spelling of a symbol for file names: its first spelling with separators, else its stored form."""
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute("SELECT separated FROM market_symbols WHERE venue = %s AND symbol = %s", (venue, stored))
        row = await cursor.fetchone()
    return row[0] if row and row[0] else stored
