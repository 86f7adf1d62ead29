"""The commands of `zeon` and their modules. A module is imported only when its command is called."""

from __future__ import annotations

import ast
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_Command = Any
"""A command or a group of commands; typer does not export their base class."""


SUBCOMMANDS = {
    "serve": "serve:serve",
    "demo": "demo:demo",
    "migrate": "database:migrate",
    "selftest": "selftest:selftest",
    "doctor": "doctor:doctor",
    "psql": "database:psql",
    "dsn": "database:dsn",
    "tail": "sessions.tail:tail",
    "verify": "sessions.verify:verify",
    "diff": "sessions.fork:diff",
    "backtest": "research.backtest:backtest",
    "lookahead": "research.lookahead:lookahead",
    "sweep": "research.sweep:sweep",
    "rank": "research.rank:rank",
    "run": "bots.run_bot:run_bot",
    "report": "research.report:report",
    "export": "sessions.export:export",
    "sessions": "sessions.subcommands:app",
    "orders": "orders:app",
    "candles": "candles.subcommands:app",
    "profiles": "research.profiles:app",
    "token": "token:app",
    "bot-key": "bot_key:app",
    "audit": "audit:audit",
}
"""Command name -> its module below `app.cli`, and its name in that module."""
VERSION_HELP = "Print the version and exit."
_PASSES_ON: dict[str, dict[str, Any]] = {"run": {}, "psql": {"allow_extra_args": True, "ignore_unknown_options": True}}
"""Commands that pass their arguments to another program."""


class Subcommands(TyperGroup):
    """The commands of the program; each one is imported when it is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name in SUBCOMMANDS:
            self.add_command(TyperCommand(name))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the list of commands, each with the first paragraph of its help."""
        for name in SUBCOMMANDS:
            self.add_command(TyperCommand(name, help=read_help(name)))
        super().format_help(ctx, formatter)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, _Command | None, list[str]]:
        """Import the command that is called; `--version` after it prints the program's version."""
        print_version(wanted="--version" in args and args[0] not in _PASSES_ON)
        if args[0] in SUBCOMMANDS:
            self.add_command(load(args[0]))
        return super().resolve_command(ctx, args)


def load(name: str) -> _Command:
    """Import a command, or the commands of a group, with all options."""
    module, _, attribute = SUBCOMMANDS[name].partition(":")
    command = getattr(import_module(f"app.cli.{module}"), attribute)
    holder = typer.Typer(add_completion=False)
    if isinstance(command, typer.Typer):
        holder.add_typer(command, name=name)
    else:
        holder.command(name, context_settings=_PASSES_ON.get(name))(command)
    return typer.main.get_group(holder).commands[name]


def print_version(wanted: bool) -> None:
    """Print the version and exit, if `wanted`."""
    if wanted:
        typer.echo(f"zeon {version('zeon-sim')}")
        raise typer.Exit


def read_help(name: str) -> str:
    """Return the first paragraph of a command's help from its source: importing all commands takes a second.

    It is the docstring of a command, and the `help` of a group.
    """
    module, _, attribute = SUBCOMMANDS[name].partition(":")
    source = Path(__file__).parent.joinpath(*module.split(".")).with_suffix(".py").read_text("utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == attribute:
            return (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and ast.unparse(node.targets[0]) == attribute
        ):
            return next(
                str(ast.literal_eval(keyword.value)) for keyword in node.value.keywords if keyword.arg == "help"
            )
    raise LookupError(f"{SUBCOMMANDS[name]} has no help")
