"""How commands print: tables and lines for people, JSON for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from app.domain import utc as times
from app.domain.visible import visible

_PIPE_WIDTH = 240
"""Width of a table, in characters, when the output is not a terminal."""

_FITTED_ROWS = 1_000
"""Longer tables are not fitted to the terminal's width: Rich takes 25 s for 100,000 rows."""


def as_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    typer.echo(visible(raw_json(value)))


def raw_json(value: Any) -> str:
    """Return a value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False)


def line(text: str) -> None:
    """Print a line of text, or several; characters that steer a terminal are escaped."""
    typer.echo(visible(text, keep_lines=True))


def note(text: str) -> None:
    """Print a line to stderr."""
    typer.echo(visible(text, keep_lines=True), err=True)


def table(
    columns: Iterable[str], rows: Iterable[Iterable[object]], *, right: Iterable[str] = (), none: str = ""
) -> None:
    """Print rows under column names; columns in `right` hold numbers. Without rows it prints the sentence `none`."""
    names, numbers = list(columns), set(right)
    cells = [[visible(text(cell)) for cell in row] for row in rows]
    if none and not cells:
        line(none)
        return
    if len(cells) > _FITTED_ROWS:
        typer.echo(_aligned(names, cells, numbers))
        return
    rich_table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        rich_table.add_column(name, justify="right" if name in numbers else "left", no_wrap=name == "id")
    for row in cells:
        rich_table.add_row(*row)
    _console().print(rich_table, markup=False)


def _aligned(names: list[str], cells: list[list[str]], numbers: set[str]) -> str:
    """Return a table as lines, each column as wide as its longest cell."""
    columns = zip(*([names, *cells]), strict=True)
    padded = [_padded(column, right=name in numbers) for name, column in zip(names, columns, strict=True)]
    return "\n".join("  ".join(row).rstrip() for row in zip(*padded, strict=True))


def _padded(column: tuple[str, ...], *, right: bool) -> list[str]:
    width = max(map(len, column))
    return [cell.rjust(width) if right else cell.ljust(width) for cell in column]


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one pair per line, without empty values."""
    known = [(name, value) for name, value in pairs if value not in (None, "", ())]
    width = max(len(name) for name, _ in known)
    for name, value in known:
        line(f"{name:<{width}}  {visible(text(value))}")


def text(value: object) -> str:
    """Return a value as text for people."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def number(value: Decimal | float | str | None, *, sign: bool = False) -> str:
    """Return a number for people: about six digits, thousands separated; a dash for none. JSON keeps all digits."""
    if value is None:
        return "-"
    exact = Decimal(str(value))
    size = abs(exact)
    if exact == exact.to_integral_value():
        return f"{exact:{'+' if sign else ''},.0f}"
    decimals = 2 if size >= 100 else 4 if size >= 1 else 5 - exact.adjusted()
    shown = f"{exact:{'+' if sign else ''},.{decimals}f}"
    whole, _, part = shown.partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}" if size >= 1 else shown.rstrip("0").rstrip(".")


def utc(time_ms: int | None) -> str:
    """Return a time as text, UTC; empty for None."""
    return "" if time_ms is None else times.utc(time_ms)


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)
