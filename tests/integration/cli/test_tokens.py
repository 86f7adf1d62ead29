"""`zeon token` and `zeon audit`: ends, scopes, and the record of what commands did."""

from __future__ import annotations

import getpass
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.cli import Cli
from tests.support.postgres import Database

CREATE = ("--profile", "none", "--venue", "demo", "--symbol", "AB", "--timeframe", "1m", "--start", "2024-01-01")


def test_a_token_has_the_end_and_the_scope_that_were_asked_for(database: Database) -> None:
    command = Cli(database)
    token = command.json("token", "create", "--user", "anna", "--name", "wall", "--scope", "read", "--expires", "30d")
    assert (token["userId"], token["name"], token["kind"], token["scope"]) == ("anna", "wall", "token", "read")
    left = datetime.fromisoformat(token["expiresAt"]) - datetime.now(UTC)
    assert timedelta(days=29, hours=23) < left < timedelta(days=30)
    exact = command.json("token", "create", "--expires", "2099-01-01T12:00")
    assert (exact["scope"], exact["expiresAt"]) == ("trade", "2099-01-01T12:00:00+00:00")
    assert command.json("token", "create")["expiresAt"] is None
    shown = command("token", "list")
    assert "wall" in shown
    assert "2099-01-01 12:00:00Z" in shown
    assert token["token"] not in shown
    command("token", "revoke", token["id"])
    assert "no valid token" in command.error("token", "revoke", token["id"])


@pytest.mark.parametrize(
    "option", [("--expires", "soon"), ("--expires", "2020-01-01"), ("--expires", "999999999w"), ("--scope", "write")]
)
def test_a_wrong_end_or_scope_is_wrong_usage(database: Database, option: tuple[str, str]) -> None:
    assert option[0] in Cli(database).error("token", "create", *option, code=2)


def test_the_audit_trail_records_what_commands_did_and_cannot_be_changed(database: Database, tmp_path: Path) -> None:
    command = Cli(database, ZEON_USER="carla")
    token = command.json("token", "create", "--user", "anna", "--scope", "read")
    command("token", "revoke", token["id"])
    session = command.json("sessions", "create", *CREATE)["id"]
    command("export", session, "--out", tmp_path / "log.ndjson")
    command("sessions", "delete", session)
    rows = tmp_path / "rows.csv"
    rows.write_text("time,open,high,low,close,volume\n1704067200000,1,2,1,2,5\n1704067260000,1,2,1,2,5\n")
    command("candles", "import", rows, "--symbol", "AB", "--timeframe", "1m", "--venue", "demo")
    command("candles", "delete", "AB", "--timeframe", "1m", "--venue", "demo", "--yes")
    entries = command.json("audit")
    assert [(entry["action"], entry["subject"]) for entry in reversed(entries)] == [
        ("token.create", token["id"]),
        ("token.revoke", token["id"]),
        ("session.export", session),
        ("session.delete", session),
        ("candles.import", "demo AB 1m"),
        ("candles.delete", "demo AB 1m"),
    ]
    here = ("carla", "command", f"{getpass.getuser()}@{socket.gethostname()}", None)
    assert {(entry["userId"], entry["via"], entry["address"], entry["requestId"]) for entry in entries} == {here}
    assert entries[-1]["details"] == {"user": "anna", "name": None, "scope": "read", "expiresAt": None}
    assert token["token"] not in command("audit", "--json")
    assert [entry["action"] for entry in command.json("audit", "--action", "token")] == ["token.revoke", "token.create"]
    assert command.json("audit", "--user", "nobody") == command.json("audit", "--since", "2099-01-01") == []
    assert len(command("audit", "--limit", "1").splitlines()) == 2
    rights = "SELECT has_table_privilege('sim_audit', r) FROM unnest(ARRAY['INSERT','SELECT','UPDATE','DELETE']) r"
    assert database.query(rights) == [(True,), (True,), (False,), (False,)]
