"""The commands as a whole: their names, their help, their exit codes."""

import subprocess
import sys
from importlib import metadata

import pytest
from typer.testing import CliRunner

from app.cli import subcommands
from app.cli.main import app
from app.errors import NoDatabaseError
from tests.paths import ROOT

COMMANDS = {
    "": {
        "serve",
        "demo",
        "migrate",
        "selftest",
        "psql",
        "dsn",
        "doctor",
        "tail",
        "verify",
        "diff",
        "lookahead",
        "rank",
        "sweep",
        "report",
        "run",
        "export",
        "profiles",
        "sessions",
        "orders",
        "candles",
        "token",
        "bot-key",
        "audit",
        "backtest",
    },
    "sessions": {
        "create",
        "start",
        "pause",
        "resume",
        "stop",
        "compare",
        "pace",
        "step",
        "run-until",
        "jump",
        "fork",
        "list",
        "show",
        "delete",
        "prune",
    },
    "orders": {"place", "list", "show", "cancel", "close", "account"},
    "candles": {"import", "inspect", "fetch", "follow", "list", "gaps", "export", "delete"},
    "token": {"create", "list", "revoke"},
    "bot-key": {"create", "list", "revoke"},
}
runner = CliRunner()


def inside(name: str):
    """Return the commands of a group by name; those of the program where it has none."""
    if name:
        return subcommands.load(name).commands
    return {name: subcommands.load(name) for name in subcommands.SUBCOMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_says_what_it_is_for(name):
    result = inside(name)
    assert set(result) == COMMANDS[name]
    assert all(command.help.endswith(".") for command in result.values())


@pytest.mark.parametrize("name", subcommands.SUBCOMMANDS)
def test_the_list_says_of_a_command_what_its_own_help_says(name):
    assert subcommands.load(name).help.split("\n\n")[0].replace("\n", " ") == subcommands.read_help(name)


def test_the_list_is_printed_without_what_the_commands_need():
    program = (
        "import sys; from app.cli.main import main; sys.argv = ['zeon', '--help']\n"
        "try: main()\n"
        "except SystemExit: print({'psycopg', 'sqlalchemy', 'pydantic', 'app.engine'} & set(sys.modules))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "Open psql" in printed
    assert printed.splitlines()[-1] == "set()"


def test_every_option_says_what_it_is_for():
    everything = [command for name in COMMANDS for command in inside(name).values()]
    nameless = [
        (command.name, parameter.name)
        for command in everything
        for parameter in command.params
        if not getattr(parameter, "help", None)
    ]
    assert not nameless


@pytest.mark.parametrize("arguments", ["", "serve", "candles", "candles list", "sessions create"])
def test_every_command_has_version_and_short_help(arguments):
    version = runner.invoke(app, [*arguments.split(), "--version"])
    assert (version.exit_code, version.stdout) == (0, f"zeon {metadata.version('zeon-sim')}\n")
    short, long = (runner.invoke(app, [*arguments.split(), option]) for option in ("-h", "--help"))
    assert (short.exit_code, short.stdout) == (0, long.stdout)
    assert "Usage: " in short.stdout


def test_a_version_behind_psql_is_that_of_psql(tmp_path):
    done = runner.invoke(app, ["psql", "--version"], env={"ZEON_DATA_DIR": str(tmp_path), "DATABASE_URL": ""})
    assert isinstance(done.exception, NoDatabaseError)


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
