"""The command `zeon`: its entry point, which turns an error into one sentence and an exit code."""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer

from app.cli import output
from app.cli.subcommands import VERSION_HELP, Subcommands, print_version
from app.errors import SimError

app = typer.Typer(
    name="zeon",
    cls=Subcommands,
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
    """Run a command and exit: 0 on success, 1 on failure, 2 on wrong usage."""
    signal.signal(
        signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT)
    )  # SIGTERM ends the program as cleanly as Ctrl-C.
    try:
        app(prog_name="zeon")
    except SimError as error:
        output.note(error.message)
        sys.exit(1)


if __name__ == "__main__":
    main()
