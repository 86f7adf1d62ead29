"""The commands as a whole: their names, their help, their exit codes."""

import pytest
import typer
from typer.testing import CliRunner

from app.cli.main import app

COMMANDS = {
    "": {
        "serve",
        "demo",
        "migrate",
        "selftest",
        "psql",
        "doctor",
        "tail",
        "report",
        "export",
        "profiles",
        "sessions",
        "candles",
        "token",
    },
    "sessions": {"create", "start", "pause", "resume", "stop", "pace", "list", "show", "delete", "prune"},
    "candles": {"import", "list", "gaps", "export"},
    "token": {"create", "list", "revoke"},
}
runner = CliRunner()


def group(name: str):
    root = typer.main.get_command(app)
    return root.commands[name] if name else root


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_says_what_it_is_for(name):
    commands = group(name).commands
    assert set(commands) == COMMANDS[name]
    assert all(command.help.endswith(".") for command in commands.values())


def test_every_option_says_what_it_is_for():
    everything = [command for name in COMMANDS for command in group(name).commands.values()]
    nameless = [
        (command.name, parameter.name)
        for command in everything
        for parameter in command.params
        if not getattr(parameter, "help", None)
    ]
    assert not nameless


@pytest.mark.parametrize(
    "arguments",
    [
        "nonsense",
        "candles gaps",
        "candles gaps BTCUSDT --timeframe 7m",
        "sessions show 1",
        "tail",
        "serve --what",
        "report 1",
    ],
)
def test_a_wrong_call_exits_with_2(arguments):
    assert runner.invoke(app, arguments.split()).exit_code == 2
