"""The command `zeon`: every command group, and how an error becomes one sentence and an exit code."""

from __future__ import annotations

import signal
import sys

import typer

from app.cli import candles, database, profiles, sessions, show, token
from app.cli.demo import demo
from app.cli.doctor import doctor
from app.cli.export import export
from app.cli.report import report
from app.cli.selftest import selftest
from app.cli.serve import serve
from app.cli.tail import tail
from app.errors import SimError

app = typer.Typer(
    name="zeon",
    help="Turns stored market candles into a live feed and keeps every moment of it, in Postgres.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command()(demo)
app.command()(database.migrate)
app.command()(selftest)
app.command()(doctor)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(database.psql)
app.command()(tail)
app.command()(report)
app.command()(export)
app.add_typer(sessions.app, name="sessions")
app.add_typer(candles.app, name="candles")
app.add_typer(profiles.app, name="profiles")
app.add_typer(token.app, name="token")


def main() -> None:
    """Run a command; exits with 0, 1 when it failed, 2 when it was called wrongly."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # Ends as Ctrl-C does, cleanly.
    try:
        app(prog_name="zeon")
    except SimError as error:
        show.aside(error.message)
        sys.exit(1)


if __name__ == "__main__":
    main()
