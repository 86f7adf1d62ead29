"""Sessions after an upgrade: changed code that computes the same log goes on; other code leaves the session paused."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app.domain.session import Pace, Session
from app.domain.trading.settings import TradingSettings
from app.engine import code_changes
from app.engine.session_service import Action
from app.errors import CodeChangedError, ProfileUnknownError
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, USER, Engine, running_engine, store
from tests.support.strategies import GOOD, ONE_CHILD, write

OTHER = GOOD.replace(
    'self.plot("fast", fast)', 'self.plot("fast", fast + (candle.open_time_ms >= self.first_ms + 30 * 60_000))'
).replace("slow: int = 8", f"slow: int = 8\n    first_ms = {START_MS}")
"""The same strategy up to its candle number 30."""
BROKEN = OTHER.replace("fast + (", "fast + 0 // (").replace(">= self.first_ms", "< self.first_ms")
"""The same strategy, too; at this candle it fails."""


async def halfway(engine: Engine, **changes: Any) -> Session:
    session = await engine.create(profile_slug="good", **changes)
    await engine.act(session.id, "step", steps=50)
    return await engine.until(session.id, lambda s: s.status == "paused")


def changes_of(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event["payload"] for event in log if event["payload"].get("action") == "codeChanged"]


async def test_changed_code_that_computes_the_same_log_goes_on(database: Database, tmp_path: Path) -> None:
    write(tmp_path, "helper", "LEAST = 3\n")
    good = write(tmp_path, "good", "from helper import LEAST\n" + GOOD)
    async with running_engine(database, strategies=(str(tmp_path),), **ONE_CHILD) as engine:
        await store(engine.pool)
        whole = await engine.finished((await engine.start(profile_slug="good")).id)
        session = await halfway(engine)
        good.write_text(good.read_text() + "# new\n")
        await engine.act(session.id, "step", steps=10)
        await engine.until(session.id, lambda s: s.status == "paused")
        (tmp_path / "helper.py").write_text("LEAST = 4\n")
        await engine.act(session.id, "resume")
        done = await engine.finished(session.id)
        assert done.status == "finished", done.error
        assert await engine.digest(done.id) == await engine.digest(whole.id)
        first, second = changes_of(await engine.log(session.id))
        hashes = [first["args"]["was"], first["args"]["now"], second["args"]["now"]]
        assert hashes == [session.strategy_hash, second["args"]["was"], done.strategy_hash]


@pytest.mark.parametrize("record", ["full", "trades"])
async def test_other_code_leaves_the_session_paused_and_a_fork_goes_on(
    database: Database, tmp_path: Path, record: Any
) -> None:
    good = write(tmp_path, "good", GOOD)
    async with running_engine(database, strategies=(str(tmp_path),), **ONE_CHILD) as engine:
        await store(engine.pool)
        session = await halfway(engine, trading=TradingSettings(record=record))
        log = await engine.log(session.id)
        at = START_MS + 31 * MINUTE
        seq = next(event["seq"] for event in log if event["ts"] == at and event["type"] == "plot")
        whole_tick = record == "full"  # Nothing of a candle at which the code fails is computed.
        for text, at_seq in ((OTHER, seq), (BROKEN, seq - whole_tick)):
            good.write_text(good.read_text().partition("class")[0] + text.lstrip())
            with pytest.raises(CodeChangedError, match=f"from seq {at_seq} on") as caught:
                await engine.act(session.id, "resume")
            assert (caught.value.code, caught.value.details["seq"]) == ("strategy_changed", at_seq)
            assert (await engine.get(session.id)).status == "paused"
        assert caught.value.details["error"].startswith("ZeroDivisionError")
        good.write_text(good.read_text().partition("class")[0] + OTHER.lstrip())
        fork = await engine.act(session.id, "resume", accept_changed=True)
        assert (fork.parent_id, fork.status, fork.cursor_ms) == (session.id, "created", START_MS + 29 * MINUTE)
        assert log[(fork.fork_seq or 0) - 1]["ts"] == START_MS + 30 * MINUTE
        await engine.sim.start(USER, fork.id)
        done = await engine.finished(fork.id)
        assert done.status == "finished", done.error
        written = await engine.log(fork.id)
        assert written[: fork.fork_seq] == log[: fork.fork_seq]
        plots = {event["ts"]: event["payload"]["value"] for event in written if event["type"] == "plot"}
        old = {event["ts"]: event["payload"]["value"] for event in log if event["type"] == "plot"}
        assert plots[at] == pytest.approx(old[at] + 1)
        assert (await engine.get(session.id)).status == "paused"


async def test_a_long_check_goes_on_in_the_running_session(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_changes, "CHECK_S", 0)
    good = write(tmp_path, "good", GOOD)
    async with running_engine(database, strategies=(str(tmp_path),), **ONE_CHILD) as engine:
        await store(engine.pool)
        equal, other = await halfway(engine), await halfway(engine)
        good.write_text(good.read_text() + "# new\n")
        running = await engine.act(equal.id, "resume")
        assert running.status == "running"
        assert (running.progress() or {})["checking"] == {"done": 0, "total": 50}
        done = await engine.finished(equal.id)
        assert (done.status, len(changes_of(await engine.log(equal.id)))) == ("finished", 1)
        good.write_text(good.read_text().partition("class")[0] + OTHER.lstrip())
        assert (await engine.act(other.id, "resume")).status == "running"
        paused = await engine.until(other.id, lambda s: s.status == "paused")
        assert f"from seq {paused.error_details['seq']} on" in str(paused.error)
        status = [event["payload"] for event in await engine.log(other.id) if event["type"] == "status"][-1]
        assert (status["status"], status["reason"]) == ("paused", "strategy_changed")
        assert await engine.slots_done(other.id) == 50


async def test_an_order_in_a_paused_session_is_taken_after_changed_code_was_checked(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.create(profile_slug="manual")
        await engine.act(session.id, "step", steps=5)
        paused = await engine.until(session.id, lambda s: s.status == "paused")
        database.query("UPDATE sim_sessions SET strategy_hash = 'old' WHERE id = %s RETURNING id", session.id)
        order = {"side": "buy", "type": "market", "qty": 1, "fill": "same_close"}
        await engine.sim.commands.run(await engine.get(session.id), USER, "order", order)
        after = await engine.get(session.id)
        assert (after.commands, after.strategy_hash) == (1, paused.strategy_hash)
        assert len(changes_of(await engine.log(session.id))) == 1


async def test_a_session_runs_where_its_profile_is_known(database: Database, tmp_path: Path) -> None:
    write(tmp_path, "good", GOOD)
    own = {"strategies": (str(tmp_path),), "runner": "knows", "on_orphan": "resume", **ONE_CHILD}
    async with running_engine(database, runner="ignorant", on_orphan="resume") as engine:
        await store(engine.pool)
        with pytest.raises(ProfileUnknownError, match=r"'good'.*living servers are ignorant"):
            await engine.create(profile_slug="good")
        async with running_engine(database, **own) as knowing:
            await knowing.until(await _told(knowing), lambda _: True)
            session = await engine.create(profile_slug="good", config={"fast": 4})
            assert (await engine.sim.start(USER, session.id)).runner is None
            done = await knowing.finished(session.id)
            assert done.status == "finished", done.error
            whole = await knowing.finished((await knowing.start(profile_slug="good", config={"fast": 4})).id)
            assert await engine.digest(done.id) == await engine.digest(whole.id)
            assert done.strategy_hash == whole.strategy_hash
            wrong = await engine.create(profile_slug="good", config={"fasst": 4})
            await engine.sim.start(USER, wrong.id)
            failed = await knowing.finished(wrong.id)
            assert failed.status == "failed"
            assert "did you mean fast" in str(failed.error)
            slow = await knowing.start(profile_slug="good", pace=Pace(60_000))
        paused = await engine.until(slow.id, lambda s: s.status == "paused")
        assert "No living server knows the profile good" in str(paused.error)
        with pytest.raises(ProfileUnknownError) as caught:
            await engine.sim.act(USER, slow.id, Action("resume"))
        assert caught.value.details == {"profiles": ["good"], "servers": ["ignorant"]}


async def _told(engine: Engine) -> UUID:
    """Wait until an engine has told which strategies it knows; return the id of a session."""
    session = await engine.create(profile_slug="none")
    while "good" not in (engine.supervisor.strategies.known or ()):
        await engine.get(session.id)
    await engine.supervisor._renew_once()
    return session.id
