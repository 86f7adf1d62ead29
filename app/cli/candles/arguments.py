"""What several commands on candles take: a symbol, and the range of a series."""

from __future__ import annotations

from typing import Annotated

import typer

from app.candles.cache.advice import describe_cached
from app.cli.options import read_symbol
from app.db import candles as cache
from app.db.pool import Connection
from app.errors import NotFoundError

SPELLINGS = "In any usual spelling: BTCUSDT, btc-usdt, BTC/USDT:USDT, ^GSPC."
SymbolArgument = Annotated[
    str, typer.Argument(metavar="SYMBOL", parser=read_symbol, help=SPELLINGS, show_default=False)
]

Series = tuple[str, str, str]
"""Venue, symbol and timeframe."""


async def range_or_all(connection: Connection, key: Series, start: int | None, end: int | None) -> tuple[int, int]:
    """Return the range asked for, by default all that is cached; raises `NotFoundError` when nothing is."""
    if start is not None and end is not None:
        return start, end
    cached = await cache.span(connection, *key)
    if cached is None:
        raise NotFoundError(await describe_cached(connection, key[0], [key[1]], key[2]))
    return cached[0] if start is None else start, cached[1] + 1 if end is None else end
