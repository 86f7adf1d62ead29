"""Commands that only read need a database that is there, and make none."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from app.errors import NoDatabaseError
from tests.support.postgres import Database

READING = (
    "sessions list",
    "sessions show abcd1234",
    "sessions pause abcd1234",
    "tail abcd1234",
    "verify abcd1234",
    "diff abcd1234 abcd1235",
    "report abcd1234",
    "export abcd1234",
    "rank a-tag",
    "lookahead sma_cross --symbol X --timeframe 1m",
    "profiles",
    "candles list",
    "candles gaps X --timeframe 1m",
    "candles export X --timeframe 1m",
    "token list",
    "audit",
)


@pytest.mark.parametrize("command", [*READING, "psql -c SELECT", "dsn"])
def test_a_reading_command_sets_up_no_database(command: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    done = CliRunner().invoke(app, command.split(), env={"DATABASE_URL": "", "ZEON_DATA_DIR": str(folder)})
    assert isinstance(done.exception, NoDatabaseError)
    assert f"There is no database under {folder} yet" in str(done.exception)
    assert not folder.exists()


def test_the_doctor_sets_up_no_database(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    done = CliRunner().invoke(app, ["doctor"], env={"DATABASE_URL": "", "ZEON_DATA_DIR": str(folder)})
    assert (done.exit_code, "There is no database under" in done.stdout) == (1, True)
    assert not folder.exists()


def test_a_reading_command_installs_nothing_in_an_empty_database(empty_database: Database) -> None:
    env = {"DATABASE_URL": empty_database.url, "ZEON_MIGRATE_URL": empty_database.owner_url}
    for command in READING:
        done = CliRunner().invoke(app, command.split(), env=env)
        assert isinstance(done.exception, NoDatabaseError), command
        assert "run `zeon migrate`" in str(done.exception)
    assert empty_database.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
