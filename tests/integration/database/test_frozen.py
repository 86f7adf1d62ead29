"""A database of commit b53902f, migrated: every log verifies, and every session continues to the same end."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from app.clock import Clock
from app.engine.replay.snapshots import _body_hash
from app.engine.replay.verify import verify
from tests.frozen.restore import STRATEGIES, dump, restore
from tests.support.cli import Cli
from tests.support.client import SESSIONS
from tests.support.postgres import Database
from tests.support.running_server import InProcessServer, running_server

USER = "local"
UNFINISHED = ("created", "paused", "running")


@pytest.fixture
def old(empty_database: Database) -> Database:
    """The database of the old version, brought up to date by `zeon migrate`."""
    restore(empty_database.owner_url)
    cli(empty_database)("migrate")
    return empty_database


def cli(database: Database, **env: object) -> Cli:
    return Cli(database, ZEON_STRATEGIES=STRATEGIES, **env)


@asynccontextmanager
async def restored_server(database: Database, **changes: Any) -> AsyncIterator[InProcessServer]:
    """Serve the database; it has already searched for orphans when the block begins."""
    settings = {"strategies": (str(STRATEGIES),), "venue": "frozen", "children": 1, "candle_timeout_ms": 10_000}
    async with running_server(database, candles=0, **(settings | changes)) as server:
        for session in with_status("running"):
            left = "running" if changes.get("on_orphan") == "resume" else "paused"
            await server.until(path(session), left)
        yield server


def path(frozen: dict[str, Any]) -> str:
    return f"{SESSIONS}/{frozen['id']}"


def with_status(*statuses: str) -> list[dict[str, Any]]:
    return [session for session in dump().sessions if session["status"] in statuses]


def digests(database: Database) -> dict[str, str]:
    return dict(database.query("SELECT id::text, sim_log_digest(id) FROM sim_sessions"))


async def go_on(server: InProcessServer, frozen: dict[str, Any]) -> None:
    """Let a session run to its end, unpaced."""
    await server.data("POST", f"{path(frozen)}/control", {"action": "pace", "replayMsPerCandle": 0})
    await server.data("POST", f"{path(frozen)}/start")


async def finished(server: InProcessServer, session_id: str, timeout_s: float = 60) -> None:
    """Wait for a session's end and require that it is the end of its range."""
    deadline = time.monotonic() + timeout_s
    while (session := await server.data("GET", f"{SESSIONS}/{session_id}"))["status"] == "running":
        assert time.monotonic() < deadline, session
        await asyncio.sleep(0.02)
    assert session["status"] == "finished", session


async def reach_their_ends(server: InProcessServer, database: Database, sessions: Iterable[dict[str, Any]]) -> None:
    """Require that sessions finish with the digests they had in the old version."""
    expected = {session["id"]: session["endDigest"] for session in sessions}
    for session_id in expected:
        await finished(server, session_id)
    results = digests(database)
    assert {session_id: results[session_id] for session_id in expected} == expected


def test_the_dump_holds_every_kind_of_session() -> None:
    assert {session["status"] for session in dump().sessions} == {*UNFINISHED, "finished", "failed", "stopped"}
    assert len(dump().rows("sim_snapshots")) == 3
    rows = dump().rows("sim_sessions")
    assert {row["record"] for row in rows} == {"full", "trades"}
    assert {row["gap_policy"] for row in rows} == {"fail", "skip", "fill"}
    assert {row["kind"] for row in rows} == {"sim", "market"}
    assert max(len(row["lineage"]) for row in rows) == 3
    for column in ("volume_share", "extra_timeframes", "warmup_candles", "parent_id", "speed", "idempotency_key"):
        assert any(row[column] for row in rows), column


async def test_every_log_verifies_with_the_digest_it_had(old: Database) -> None:
    async with restored_server(old) as server:
        sim = server.served.sim
        for session in dump().sessions:
            result = await verify(sim.database, Clock(), sim.strategies, USER, UUID(session["id"]))
            assert (result.difference, result.warnings, result.digest) == (None, [], session["digest"]), session["name"]


def test_the_command_verifies_an_old_log(old: Database) -> None:
    zeon = cli(old)
    for name in ("paused brackets", "running fork"):
        result = zeon.json("verify", dump().session(name)["id"])
        assert (result["same"], result["warnings"]) == (True, [])


async def test_every_session_continues_to_the_same_end(old: Database) -> None:
    unfinished = [session for session in with_status(*UNFINISHED) if "endDigest" in session]
    assert len(unfinished) > 25
    async with restored_server(old) as server:
        assert digests(old) == {session["id"]: session["digest"] for session in dump().sessions}
        for session in unfinished:
            await go_on(server, session)
        await reach_their_ends(server, old, unfinished)


async def test_an_endless_session_continues(old: Database) -> None:
    endless = dump().session("paused endless")
    async with restored_server(old) as server:
        await server.data("POST", f"{path(endless)}/control", {"action": "step", "candles": 50})
        result = await server.until(path(endless), "paused")
        assert result["cursorMs"] == endless["cursorMs"] + 50 * 60_000


async def test_a_session_that_ran_is_paused_and_says_why(old: Database) -> None:
    ran = with_status("running")
    async with restored_server(old) as server:
        for session in ran:
            last = (await server.data("GET", f"{path(session)}/events?tail=1"))["events"][0]
            assert (last["seq"], last["type"]) == (session["lastSeq"] + 1, "status")
            assert (last["payload"]["status"], last["payload"]["reason"]) == ("paused", "runner lost")


async def test_a_session_that_ran_is_taken_over_where_that_is_wanted(old: Database) -> None:
    ran = with_status("running")
    async with restored_server(old, on_orphan="resume") as server:
        for session in ran:
            assert (await server.data("GET", path(session)))["status"] == "running"
            await server.data("PATCH", path(session), {"replayMsPerCandle": 0})
        await reach_their_ends(server, old, ran)


async def test_a_fork_that_changes_nothing_ends_like_its_parent(old: Database) -> None:
    names = (
        "paused brackets",
        "paused channel",
        "paused fill",
        "paused fork of a fork",
        "paused fork of a deleted parent",
        "paused rsi_revert",
        "finished brackets",
        "finished trend_pullback",
    )
    async with restored_server(old) as server:
        forks = []
        for name in names:
            parent = dump().session(name)
            body = {"atSeq": parent["lastSeq"] * 9 // 10, "replayMsPerCandle": 0, "rules": 1}
            fork = await server.data("POST", f"{path(parent)}/fork", body, status=201)
            forks.append({**fork, "endDigest": parent["endDigest"]})
            await go_on(server, fork)
        await reach_their_ends(server, old, forks)


async def test_old_sessions_keep_the_first_rules_and_forks_of_them_go_on_with_the_newest(old: Database) -> None:
    parent = dump().session("finished brackets")
    async with restored_server(old) as server:
        assert {rules for (rules,) in old.query("SELECT rules FROM sim_sessions")} == {1}
        body = {"atSeq": parent["lastSeq"] // 2, "replayMsPerCandle": 0}
        fork = await server.data("POST", f"{path(parent)}/fork", body, status=201)
        assert fork["rules"] == 2
        await server.data("DELETE", path(parent))
        await go_on(server, fork)
        await finished(server, fork["id"])
        second = await server.data("POST", f"{path(fork)}/fork", {"atSeq": fork["lastSeq"] + 50}, status=201)
        lineage = old.query("SELECT lineage FROM sim_sessions WHERE id = %s", second["id"])[0][0]
        assert [ancestor["terms"].get("rules", 1) for ancestor in lineage] == [1, 2]
        for session_id in (fork["id"], second["id"]):
            sim = server.served.sim
            result = await verify(sim.database, Clock(), sim.strategies, USER, UUID(session_id))
            assert (result.difference, result.warnings) == (None, [])


async def test_a_fork_inside_a_shared_past_continues(old: Database) -> None:
    fork_of_a_fork = dump().session("paused fork of a fork")
    async with restored_server(old) as server:
        for seq in (90, 200):  # Written by the first ancestor, and by the second.
            body = {"atSeq": seq, "replayMsPerCandle": 0}
            fork = await server.data("POST", f"{path(fork_of_a_fork)}/fork", body, status=201)
            await go_on(server, fork)
            await finished(server, fork["id"])


@pytest.mark.parametrize(
    ("marked", "cash", "dropped"),
    [(False, None, 3), (True, None, None), (True, "123.45", 3)],
    ids=["as it is", "as if taken by the present code", "as if taken by the present code, with other cash"],
)
async def test_an_old_snapshot_never_changes_what_follows(
    old: Database, caplog: pytest.LogCaptureFixture, marked: bool, cash: str | None, dropped: int | None
) -> None:
    long = [session for session in dump().sessions if session["name"].startswith("paused long")]
    async with restored_server(old) as server:
        for one in long if marked else ():
            await mark_snapshot(server, old, one, cash)
        for session in long:
            await go_on(server, session)
        await reach_their_ends(server, old, long)
    records = [record for record in caplog.records if ": deleted its snapshot at " in record.message]
    assert dropped is None or len(records) == dropped


async def mark_snapshot(server: InProcessServer, database: Database, frozen: dict[str, Any], cash: str | None) -> None:
    """Let a snapshot look as if the present code had taken it, with another amount of cash if one is given."""
    session = await server.served.sim.get(USER, UUID(frozen["id"]))
    ((text,),) = database.query("SELECT body FROM sim_snapshots WHERE session_id = %s", frozen["id"])
    if cash is not None:
        body = json.loads(text)
        body["desk"], count = re.subn(r'(\["cash",\["decimal",")[^"]*', rf"\g<1>{cash}", body["desk"])
        assert count == 1
        text = json.dumps(body)
    change = "UPDATE sim_snapshots SET body = %s, body_hash = %s WHERE session_id = %s RETURNING 1"
    assert database.query(change, text, _body_hash(session, text), frozen["id"]) == [(1,)]


async def test_a_repeated_create_gives_the_old_session(old: Database) -> None:
    created = dump().session("created")
    body = {"profileSlug": "sma_cross", "timeframe": "1m", "startMs": 1_704_067_200_000, "endMs": 1_704_079_200_000}
    body |= {"replayMsPerCandle": 0, "symbol": "BTCUSDT", "name": "created", "config": {"fast": 4, "slow": 11}}
    async with restored_server(old) as server:
        assert (await server.data("POST", SESSIONS, body | {"idempotencyKey": "made-once"}))["id"] == created["id"]
        await server.refused(422, "POST", SESSIONS, body | {"idempotencyKey": "made-once", "name": "other"})


async def test_tokens_are_worth_what_they_were(old: Database) -> None:
    tokens = {name: {"Authorization": f"Bearer {token}"} for name, token in dump().tokens.items()}
    async with running_server(old, candles=0, auth="token") as server:
        result = await server.data("GET", f"{SESSIONS}?limit=200", headers=tokens["valid"])
        assert {session["id"] for session in result["sessions"]} == {
            session["id"] for session in dump().sessions if session["name"]
        }
        await server.refused(401, "GET", SESSIONS, headers=tokens["revoked"])


def test_strategies_that_import_from_app_domain_are_profiles(old: Database) -> None:
    done = cli(old).run("profiles", "--json")
    assert "could not be imported" not in done.stderr
    for slug in ("brackets", "channel", "rehearsal", "failing", "quick"):
        assert f'"slug": "{slug}"' in done.stdout


def test_migrating_twice_changes_nothing(old: Database) -> None:
    before = old.query("SELECT md5(string_agg(to_jsonb(s)::text, '' ORDER BY id)) FROM sim_sessions s")
    cli(old)("migrate")
    assert old.query("SELECT md5(string_agg(to_jsonb(s)::text, '' ORDER BY id)) FROM sim_sessions s") == before
    assert digests(old) == {session["id"]: session["digest"] for session in dump().sessions}
