"""The options that say how to read a file of candles, for the commands that read one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from app.candles.rows.read_options import read_options
from app.cli.options import as_usage

Command = Callable[..., None]

_OPTIONS: dict[str, tuple[str, str]] = {
    "time_zone": ("ZONE", "Zone of times that name none: Europe/Berlin, EST, +02:00; unset: UTC."),
    "stamp": ("open|close", "Which end of a candle its time is; unset: open."),
    "dates": ("dmy|mdy|ymd", "Order of day, month and year where no date proves it."),
    "columns": ("NAME,...", "By position: time, date, open, high, low, close, volume, symbol, - (none)."),
    "only": ("NAME", "The instrument to take of a file that holds several."),
    "decimal": ("point|comma", "Decimal separator where no number proves it."),
}
"""Argument of `read_options` -> the form and the help of its option."""


def takes_read_options(command: Command) -> Command:
    """Add the options to a command; its argument `options` gets them as `ReadOptions`."""
    options = [_parameter(name, metavar, text) for name, (metavar, text) in _OPTIONS.items()]

    @wraps(command)
    def call(**values: Any) -> None:
        with as_usage():
            read = read_options(**{name: values.pop(name) for name in _OPTIONS})
        command(options=read, **values)

    shown = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        shown += options if parameter.name == "options" else [parameter]
    vars(call)["__signature__"] = inspect.Signature(shown)
    vars(call)["__annotations__"] = {parameter.name: parameter.annotation for parameter in shown}
    return call


def _parameter(name: str, metavar: str, text: str) -> inspect.Parameter:
    option = typer.Option(f"--{name.replace('_', '-')}", metavar=metavar, help=text)
    return inspect.Parameter(
        name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=Annotated[str | None, option]
    )
