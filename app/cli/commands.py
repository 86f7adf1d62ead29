"""Every command: where it is and what it says of itself. A module is imported when its command is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

_Command = Any
"""A command or a group of them; typer keeps its base class of both to itself."""


class CommandRef(NamedTuple):
    """A command's module and name there, and the first paragraph of its help."""

    at: str
    help: str


COMMANDS = {
    "serve": CommandRef(
        "serve:serve",
        "Serve sessions over HTTP; settings come from the environment. Sessions are paused when it ends.",
    ),
    "demo": CommandRef(
        "demo:demo",
        "Set up, serve, and run a session on made-up candles; a second run goes on with the same session.",
    ),
    "migrate": CommandRef(
        "database:migrate",
        "Install or update the database: pending migrations, functions, views and grants. Twice is harmless.",
    ),
    "selftest": CommandRef(
        "selftest:selftest",
        "Prove on this database that a session starts, goes on, pauses and resumes; everything made for it is removed.",
    ),
    "doctor": CommandRef(
        "doctor:doctor",
        "Look over the database and the servers on it; exits with 1 when something is wrong.",
    ),
    "psql": CommandRef(
        "database:psql",
        "Open psql on the database; everything after `psql` goes to it: zeon psql -c 'SELECT 1'.",
    ),
    "tail": CommandRef(
        "sessions.tail:tail",
        "Print a session's log and go on with it until the session ends: lines to read, or with --json one event each.",
    ),
    "verify": CommandRef(
        "sessions.verify:verify",
        "Run a session again up to its cursor and compare it with its log; exits with 1 when an event differs.",
    ),
    "diff": CommandRef(
        "sessions.fork:diff",
        "Show where two sessions part, what they were asked for differently, and how their results differ.",
    ),
    "lookahead": CommandRef(
        "research.lookahead:lookahead",
        "Run a strategy over cached candles, whole and with another future; exits with 1 if that matters.",
    ),
    "sweep": CommandRef(
        "research.sweep:sweep",
        "Run a strategy with every combination of parameters, each a session of its own, and rank the results.",
    ),
    "rank": CommandRef(
        "research.rank:rank",
        "Rank the sessions of a tag, those of a sweep for instance; with --resume an interrupted sweep goes on first.",
    ),
    "report": CommandRef(
        "research.report:report", "Show what came of a session: return, risk and trades, while it runs too."
    ),
    "export": CommandRef(
        "sessions.export:export", "Write a session's events, trades or equity as NDJSON, CSV or Parquet."
    ),
    "sessions": CommandRef("sessions.commands:app", "Make sessions and steer them; any living server runs them."),
    "candles": CommandRef(
        "candles.commands:app", "Bring candles in, see what is there and what is missing, take them out."
    ),
    "profiles": CommandRef(
        "research.profiles:app",
        "Strategies a session can name, and profiles of your own: a strategy with parameters.",
    ),
    "token": CommandRef("token:app", "Tokens that clients and browsers log in with when ZEON_AUTH=token."),
}
_PASSES_ON = {"psql": {"allow_extra_args": True, "ignore_unknown_options": True}}
"""Commands whose arguments are another program's."""


class Commands(TyperGroup):
    """The commands of the program, each but a name and a sentence until it is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, place in COMMANDS.items():
            self.add_command(TyperCommand(name, help=place.help))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, _Command | None, list[str]]:
        """Bring the command that is called."""
        if args[0] in COMMANDS:
            self.add_command(load(args[0]))
        return super().resolve_command(ctx, args)


def load(name: str) -> _Command:
    """Import a command, or the commands of a group, with all options."""
    module, _, attribute = COMMANDS[name].at.partition(":")
    found = getattr(import_module(f"app.cli.{module}"), attribute)
    holder = typer.Typer(add_completion=False)
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
    else:
        holder.command(name, context_settings=_PASSES_ON.get(name))(found)
    return typer.main.get_group(holder).commands[name]
