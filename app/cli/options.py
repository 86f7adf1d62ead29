"""Options that several commands share, and the parsers of their values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TextIO, TypeVar

import typer

from app.domain.market.symbol import display_form, normalize_symbol, normalize_venue
from app.domain.market.timeframe import timeframe
from app.errors import BadInputError

T = TypeVar("T")

MIN_DIGITS = 4
"""How many digits of an id a user must give at least."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def time_ms(text: str) -> int:
    """Parse ms since the epoch, or an ISO 8601 time; a time without a zone is UTC."""
    if re.fullmatch(r"\d{1,18}", text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text[:60]!r} is neither ms since the epoch nor an ISO 8601 time") from None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // timedelta(milliseconds=1)


@contextmanager
def as_usage() -> Iterator[None]:
    """Turn `BadInputError` into a usage error, which exits with 2."""
    try:
        yield
    except BadInputError as error:
        raise typer.BadParameter(error.message) from None


def create(path: Path) -> BinaryIO:
    """Open a file for writing; a failure is a usage error."""
    try:
        return path.open("wb")
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}") from None


@contextmanager
def open_text(path: Path | None) -> Iterator[TextIO | None]:
    """Open a file for appending text, if one is named; a failure is a usage error."""
    if path is None:
        yield None
        return
    try:
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}") from None
    with file:
        yield file


def read_id(text: str) -> str:
    """Parse an id of 32 hexadecimal digits, or its first or last few; return its digits without hyphens."""
    digits = text.replace("-", "").lower()
    if not re.fullmatch(rf"[0-9a-f]{{{MIN_DIGITS},32}}", digits):
        raise typer.BadParameter(
            f"{text[:60]!r} is neither an id nor at least {MIN_DIGITS} of its first or last digits"
        )
    return digits


def without_none(**values: Any) -> dict[str, Any]:
    """Return the values without those that are null."""
    return {name: value for name, value in values.items() if value is not None}


def _read(read: Callable[[str], T]) -> Callable[[str], T]:
    """Return a parser of an option that uses a function of the domain."""

    def parser(value: str) -> T:
        with as_usage():
            return read(value)

    return parser


read_symbol = _read(normalize_symbol)
read_spelling = _read(display_form)
read_venue = _read(normalize_venue)
read_timeframe = _read(lambda text: timeframe(text).name)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
SessionId = Annotated[
    str, typer.Argument(parser=read_id, metavar="ID", help="The session's id, or its first or last digits.")
]
VenueOption = Annotated[
    str | None,
    typer.Option("--venue", parser=read_venue, metavar="VENUE", help="Venue of the candles; default: ZEON_VENUE."),
]
TimeframeOption = Annotated[
    str,
    typer.Option(
        "--timeframe", parser=read_timeframe, metavar="TIMEFRAME", help="One of 1m 3m 5m 15m 30m 1h … 1d 3d 1w."
    ),
]
StartOption = Annotated[
    int | None,
    typer.Option(
        "--start", parser=time_ms, metavar="TIME", help="Start of the range, the first open time: ms or ISO 8601, UTC."
    ),
]
EndOption = Annotated[
    int | None,
    typer.Option("--end", parser=time_ms, metavar="TIME", help="End of the range, exclusive: ms or ISO 8601, UTC."),
]
