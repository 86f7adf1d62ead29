"""The options with which a user says how to read a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from app.candles.rows.zones import find_zone
from app.errors import BadInputError

Stamp = Literal["open", "close"]
DateOrder = Literal["dmy", "mdy", "ymd"]

COLUMN_NAMES = ("time", "date", "open", "high", "low", "close", "volume", "symbol", "-")
"""Names in `columns`; `date` stands beside a `time` of day, `-` is a column to pass over."""


@dataclass(frozen=True)
class ReadOptions:
    """How to read a file; None leaves it to the file.

    `time_zone` is where times without a zone were written (`Europe/Berlin`, `EST`, `+02:00`), `stamp` which end of a
    candle its time is, `dates` the order of day, month and year, `columns` the columns by position, `only` the
    instrument to take of several, `decimal` the decimal separator.
    """

    time_zone: str | None = None
    stamp: Stamp | None = None
    dates: DateOrder | None = None
    columns: tuple[str, ...] | None = None
    only: str | None = None
    decimal: str | None = None


UNSAID = ReadOptions()
"""No option is given: everything is taken from the file."""


def read_options(
    time_zone: str | None = None,
    stamp: str | None = None,
    dates: str | None = None,
    columns: str | None = None,
    only: str | None = None,
    decimal: str | None = None,
) -> ReadOptions:
    """Check the options as a user writes them; raises `BadInputError` naming the field."""
    if time_zone is not None:
        find_zone(time_zone)
    return ReadOptions(
        time_zone=time_zone,
        stamp=cast("Stamp | None", _one_of("stamp", stamp, ("open", "close"))),
        dates=cast("DateOrder | None", _one_of("dates", dates, ("dmy", "mdy", "ymd"))),
        columns=None if columns is None else _column_names(columns),
        only=only,
        decimal=_one_of("decimal", {"point": ".", "comma": ","}.get(decimal or "", decimal), (".", ",")),
    )


def _one_of(field: str, value: str | None, allowed: tuple[str, ...]) -> str | None:
    if value is not None and value not in allowed:
        raise BadInputError(f"{field}: {value[:40]!r} is not one of {' '.join(allowed)}")
    return value


def _column_names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip().lower() or "-" for name in text.split(","))
    for name in names:
        if name not in COLUMN_NAMES:
            raise BadInputError(f"columns: {name[:40]!r} is not one of {' '.join(COLUMN_NAMES)}")
        if name != "-" and names.count(name) > 1:
            raise BadInputError(f"columns: {name} stands there twice")
    missing = [name for name in ("open", "high", "low", "close") if name not in names]
    if "time" not in names and "date" not in names:
        missing.insert(0, "time")
    if missing:
        raise BadInputError(f"columns: {missing[0]} is missing, as in time,open,high,low,close,volume")
    return names
