"""The command `zeon`: where it begins, and how an error becomes one sentence and an exit code."""

from __future__ import annotations

import signal
import sys

import typer

from app.cli import output
from app.cli.commands import Commands
from app.errors import SimError

app = typer.Typer(
    name="zeon",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def zeon() -> None:
    """Turns stored market candles into a live feed and keeps every moment of it, in Postgres."""


def main() -> None:
    """Run a command; exits with 0, 1 when it failed, 2 when it was called wrongly."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # Ends as Ctrl-C does, cleanly.
    try:
        app(prog_name="zeon")
    except SimError as error:
        output.note(error.message)
        sys.exit(1)


if __name__ == "__main__":
    main()
