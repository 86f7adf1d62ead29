"""What others wrote never steers the terminal of who reads it: names, errors, payloads, names of tokens."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

from tests.support.cli import Cli
from tests.support.postgres import Database

EVIL = "\x1b]0;owned\x07\x9b31m\x7f\u202e\r\nforged"
STEERING = {"\x1b", "\x07", "\x9b", "\x7f", "\u202e", "\r"}


def write(database: Database) -> str:
    """Give everything that a user may name this name; returns the id of a session."""
    created = ("--profile", "none", "--venue", "demo", "--symbol", "AB", "--timeframe", "1m", "--start", "2024-01-01")
    session = Cli(database).json("sessions", "create", *created, "--name", EVIL, "--tag", EVIL)["id"]
    for payload in ("jsonb_build_object('text', %s::text)", "jsonb_build_object(%s::text, 1)"):
        database.query(f"SELECT sim_append_event(%s, NULL, 'note', {payload})", session, EVIL)
    database.query("SELECT sim_transition(%s, ARRAY['created'], 'failed', %s::text, %s::text)", session, EVIL, EVIL)
    database.query("UPDATE sim_sessions SET error = %s WHERE id = %s RETURNING 1", EVIL, session)
    database.query("INSERT INTO sim_tokens (user_id, name, token_hash) VALUES (%s, %s, 'x') RETURNING 1", EVIL, EVIL)
    database.query(
        "INSERT INTO sim_audit (user_id, action, subject, via, address, details)"
        " VALUES (%s, 'login', %s, 'http', %s, jsonb_build_object(%s::text, 1)) RETURNING 1",
        *([EVIL] * 4),
    )
    return str(session)


def test_no_control_character_that_somebody_else_wrote_reaches_a_terminal(database: Database) -> None:
    session, command = write(database), Cli(database)
    for arguments in (
        ("sessions", "list"),
        ("sessions", "show", session),
        ("tail", "--no-follow", session),
        ("token", "list"),
        ("audit",),
    ):
        for option in ((), ("--json",)):
            done = command.run(*arguments, *option)
            assert STEERING.isdisjoint(done.stdout + done.stderr), arguments
            assert not any(line.startswith("forged") for line in done.stdout.splitlines()), arguments
            assert "owned" in done.stdout, arguments
    assert command.json("sessions", "show", session)["name"] == EVIL
    assert "\x9b" in command("export", session), "a file holds what is in the log"
    for arguments in (("sessions", "list"), ("export", session)):
        shown = on_terminal(Cli(database, COLUMNS=400), *arguments)
        assert "owned" in shown
        for sequence in ("\x1b]", "\x07", "\x9b", "\x7f", "\u202e"):
            assert sequence not in shown, arguments


def on_terminal(command: Cli, *arguments: str) -> str:
    """Run a command whose output is a terminal, and return what it writes there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli.main", *arguments], env=command.env, cwd=command.folder, stdout=theirs
    )
    os.close(theirs)
    content = b""
    try:
        while part := os.read(ours, 65_536):
            content += part
    except OSError:  # The end of a terminal.
        pass
    finally:
        os.close(ours)
    assert process.wait(60) == 0
    return content.decode()
