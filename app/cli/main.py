"""The command `zeon`: where it begins, and how an error becomes one sentence and an exit code."""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer

from app.cli import output
from app.cli.commands import VERSION_HELP, Commands, print_version
from app.errors import SimError

app = typer.Typer(
    name="zeon",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


Version = Annotated[bool, typer.Option("--version", callback=print_version, is_eager=True, help=VERSION_HELP)]


@app.callback()
def zeon(version: Version = False) -> None:
    """Replay stored market candles as a live feed, every event a row in Postgres."""


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
