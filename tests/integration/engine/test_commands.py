"""Commands in a running engine: applied at their place, repeated by every rebuild, never lost or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.clock import Clock
from app.db import commands, sessions
from app.domain.session import Pace, Session
from app.domain.trading.settings import TradingSettings
from app.engine.command_service import CommandResult
from app.engine.replay import chunk_builder
from app.engine.replay.verify import verify
from app.errors import ClientOrderIdUsedError, NotFoundError, SimError, WrongStatusError
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, USER, Engine, running_engine, store

COUNT = 60
BUY = {"side": "buy", "type": "market", "qty": 1}
FREE = TradingSettings(leverage=None)


def request(**changes: Any) -> dict[str, Any]:
    base = {"profile_slug": "manual", "trading": FREE, "end_ms": START_MS + COUNT * MINUTE, "pace": Pace(0)}
    return base | changes


async def command(engine: Engine, session_id: UUID, action: str = "order", **args: Any) -> CommandResult:
    session = await engine.get(session_id)
    return await engine.sim.commands.run(session, USER, action, {**BUY, **args} if action == "order" else args)


async def step(engine: Engine, session_id: UUID, count: int = 1) -> None:
    await engine.act(session_id, "step", steps=count)
    await engine.sim.wait_for_pause(USER, session_id)


async def finish(engine: Engine, session_id: UUID) -> Session:
    if (await engine.get(session_id)).status in ("created", "paused"):
        await engine.act(session_id, "resume")
    return await engine.finished(session_id)


async def verified(engine: Engine, session_id: UUID) -> None:
    """Require that the session's log is what its candles and commands give."""
    result = await verify(engine.pool, Clock(), engine.sim.strategies, USER, session_id)
    assert (result.difference, result.warnings) == (None, [])


async def logged(engine: Engine, session_id: UUID) -> list[tuple[int | None, str, dict[str, Any]]]:
    """Return cursor, action and arguments of each command in a log; their numbers have no holes."""
    controls = [event["payload"] for event in await engine.log(session_id) if event["type"] == "control"]
    commands = [payload for payload in controls if "command" in payload]
    assert [payload["command"] for payload in commands] == list(range(1, len(commands) + 1))
    return [(payload["cursorMs"], payload["action"], payload["args"]) for payload in commands]


async def repeat(engine: Engine, session_id: UUID, **changes: Any) -> Session:
    """Run a session that nothing disturbs, and give it the commands of another at the same places."""
    other = await engine.create(**request(**changes))
    for cursor_ms, action, args in await logged(engine, session_id):
        ahead = 0 if cursor_ms is None else (cursor_ms - START_MS) // MINUTE + 1 - await engine.slots_done(other.id)
        if ahead:
            await step(engine, other.id, ahead)
        await engine.sim.commands.run(await engine.get(other.id), USER, action, args)
    return await finish(engine, other.id)


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[Engine]:
    async with running_engine(database, strategies="tests.support.resting_strategy:Resting") as engine:
        await store(engine.pool, count=COUNT)
        yield engine


def lose(engine: Engine, monkeypatch: pytest.MonkeyPatch, *, written: bool) -> None:
    """Let the next append of a command be the last thing that a holder does, before it is written or after."""
    writer = engine.supervisor.writer
    append = writer.append

    async def die(chunk: Any, options: Any) -> Any:
        if written:
            await append(chunk, **options)
        raise asyncio.CancelledError

    def losing(chunk: Any, **options: Any) -> Any:
        if chunk.command is None:
            return append(chunk, **options)
        monkeypatch.setattr(writer, "append", append)
        return asyncio.ensure_future(die(chunk, options))

    monkeypatch.setattr(writer, "append", losing)


@pytest.mark.parametrize(
    ("profile", "record"),
    [("manual", "full"), ("manual", "trades"), ("sma_cross", "full"), ("sma_cross", "trades"), ("resting", "full")],
)
async def test_commands_at_any_place_are_repeated_by_rebuild_verify_and_fork(
    engine: Engine, record: str, profile: str
) -> None:
    """The profile `resting` is a strategy of the user, so its broker is in a child process."""
    trading = replace(FREE, record=record)
    config = {"fast": 2, "slow": 4} if profile == "sma_cross" else {}
    changes = {"trading": trading, "profile_slug": profile, "config": config, "extra_timeframes": ("5m",)}
    session = await engine.create(**request(**changes))
    await command(engine, session.id, tag="before the first candle")
    await step(engine, session.id, 7)
    await command(engine, session.id, side="sell", fill="same_close", stopLoss=100_000, takeProfit=1)
    await command(engine, session.id, "close", fill="same_close")
    await step(engine, session.id, 3)
    await command(engine, session.id, type="trailingStop", trailPct=0.01, goodForCandles=9)
    await engine.supervisor._kept.close()  # From here on the state comes from the log.
    await command(engine, session.id, type="limit", limitPrice=1)
    await command(engine, session.id, "cancel")
    ended = await finish(engine, session.id)
    assert ended.status == "finished", (ended.error, ended.error_details)
    assert [action for _, action, _ in await logged(engine, session.id)] == [
        "order", "order", "close", "order", "order", "cancel",
    ]  # fmt: skip
    await verified(engine, session.id)
    digest = await engine.digest(session.id)
    assert await engine.digest((await repeat(engine, session.id, **changes)).id) == digest
    for event in await engine.log(session.id):
        if "command" in event["payload"]:
            for at_seq in (event["seq"] - 1, event["seq"]):
                await fork_and_repeat(engine, session.id, at_seq, digest)


async def fork_and_repeat(engine: Engine, parent: UUID, at_seq: int, digest: str) -> None:
    """Fork before or behind a command, give the fork the later ones, and require the same log."""
    fork = await engine.sim.fork(USER, parent, at_seq, lambda spec: spec)
    done = len(await logged(engine, fork.id))
    assert fork.commands == done
    for cursor_ms, action, args in (await logged(engine, parent))[done:]:
        reached = 0 if cursor_ms is None else (cursor_ms - START_MS) // MINUTE + 1
        if ahead := reached - await engine.slots_done(fork.id):
            await step(engine, fork.id, ahead)
        await engine.sim.commands.run(await engine.get(fork.id), USER, action, args)
    await finish(engine, fork.id)
    assert await engine.digest(fork.id) == digest
    await verified(engine, fork.id)


async def test_a_fork_inside_a_block_happens_at_its_end_and_keeps_the_costs_of_its_past(engine: Engine) -> None:
    session = await engine.create(**request())
    await step(engine, session.id, 3)
    first = await command(engine, session.id, fill="same_close")
    await command(engine, session.id, fill="same_close")
    costly = replace(FREE, slippage_bps=100)
    fork = await engine.sim.fork(USER, session.id, first.seq + 1, lambda spec: replace(spec, trading=costly))
    assert (fork.fork_seq, fork.commands) == (first.seq + 3, 1)
    second = await command(engine, fork.id, fill="same_close")
    assert second.orders[0]["avgPrice"] > first.orders[0]["avgPrice"]
    await finish(engine, fork.id)
    await verified(engine, fork.id)
    parent = await engine.create(**request())
    parent_order = await command(engine, parent.id, clientOrderId="x")
    child = await engine.sim.fork(USER, parent.id, parent_order.seq, lambda spec: spec)
    with pytest.raises(ClientOrderIdUsedError):
        await command(engine, child.id, clientOrderId="x")


async def test_a_command_while_a_chunk_is_under_way_comes_right_behind_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, sent = engine.supervisor.writer, asyncio.Event()
    append = writer.append

    def slow(chunk: Any, **options: Any) -> Any:
        async def later() -> Any:
            sent.set()
            await asyncio.sleep(0.1)
            return await append(chunk, **options)

        return asyncio.ensure_future(later()) if chunk.ticks else append(chunk, **options)

    monkeypatch.setattr(writer, "append", slow)
    session = await engine.start(**request())
    await sent.wait()
    result = await command(engine, session.id, fill="same_close")
    log = await engine.log(session.id)
    assert log[result.seq - 2]["type"] == "equity"
    assert log[result.seq - 1]["ts"] == log[result.seq - 2]["ts"]
    await finish(engine, session.id)
    await verified(engine, session.id)


@pytest.mark.parametrize("status", ["created", "running"])
@pytest.mark.parametrize("written", [False, True])
async def test_a_command_whose_process_dies_is_applied_once(
    engine: Engine, database: Database, monkeypatch: pytest.MonkeyPatch, status: str, written: bool
) -> None:
    session = await engine.create(**request(pace=Pace(60_000)))
    if status == "running":
        await engine.act(session.id, "start")
    lose(engine, monkeypatch, written=written)
    async with running_engine(database, runner="two") as other:
        calling = asyncio.ensure_future(command(engine, session.id))
        if status == "running":
            await engine.until(session.id, lambda _: not engine.supervisor.running)
            await other.act(session.id, "pause")
            await other.act(session.id, "start")
        result = await calling
        assert result.orders[0]["status"] == "accepted"
        assert len(await logged(other, session.id)) == 1
        await other.act(session.id, "pace", Pace(0))
        await finish(other, session.id)
        await verified(other, session.id)


async def test_an_append_that_is_repeated_after_a_lost_answer_writes_the_command_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.engine.replay import writer as module
    from app.errors import UnavailableError

    real, lost = module.append_chunks, []

    async def losing(connection: Any, chunks: Any) -> Any:
        outcomes = await real(connection, chunks)
        if not lost and any(chunk.command for chunk in chunks):
            lost.append(outcomes)
            raise UnavailableError
        return outcomes

    monkeypatch.setattr(module, "append_chunks", losing)
    session = await engine.create(**request())
    result = await command(engine, session.id)
    assert lost
    assert len(await logged(engine, session.id)) == 1
    assert result.seq == 1


async def test_two_processes_with_one_command_each(engine: Engine, database: Database) -> None:
    async with running_engine(database, runner="two") as other:
        for status in ("created", "running", "paused"):
            session = await engine.create(**request(pace=Pace(60_000)))
            if status != "created":
                await other.act(session.id, "start")
            if status == "paused":
                await other.act(session.id, "pause")
            results = await asyncio.gather(
                *(command(target, session.id) for target in (engine, other) for _ in range(5))
            )
            assert sorted(result.orders[0]["orderId"] for result in results) == list(range(1, 11))
            assert len(await logged(engine, session.id)) == 10
            await engine.act(session.id, "stop")


async def test_refused_commands_change_nothing_and_free_their_names(engine: Engine) -> None:
    session = await engine.create(**request(end_ms=START_MS + 2 * MINUTE))
    with pytest.raises(NotFoundError, match="no order 7"):
        await command(engine, session.id, "cancel", orderId=7)
    await command(engine, session.id, clientOrderId="mine")
    with pytest.raises(ClientOrderIdUsedError):
        await command(engine, session.id, clientOrderId="mine")
    await step(engine, session.id, 2)
    with pytest.raises(WrongStatusError, match="over"):
        await command(engine, session.id, clientOrderId="other")
    await finish(engine, session.id)
    with pytest.raises(WrongStatusError, match="finished"):
        await command(engine, session.id)
    with pytest.raises(WrongStatusError, match="no account"):
        await command(engine, (await engine.create()).id)
    assert len(await logged(engine, session.id)) == 1


async def test_commands_of_psql_are_applied_or_refused_by_a_living_server(engine: Engine, database: Database) -> None:
    session = await engine.create(**request())
    [(placed,)] = database.query('SELECT sim_order(%s, \'{"side": "buy", "type": "market"}\')', session.id)
    [(wrong,)] = database.query('SELECT sim_order(%s, \'{"side": "hold", "type": "market"}\')', session.id)
    [(unknown,)] = database.query("SELECT sim_cancel(%s, 9)", session.id)
    [(closed,)] = database.query("SELECT sim_close(%s)", session.id)

    async def answers() -> dict[int, str]:
        rows = database.query(
            "SELECT command_id, status, reason FROM sim_view_orders WHERE session_id = %s", session.id
        )
        return {command_id: f"{status} {reason}" for command_id, status, reason in rows}

    await engine.until(session.id, lambda session: session.commands == 2)
    shown = await answers()
    assert shown[placed] == "accepted command"
    assert shown[wrong].startswith("refused side: ")
    assert shown[unknown] == "refused There is no order 9 in this session."
    assert closed not in shown  # There was no position: it is in the log, and has no order.


async def test_commands_of_a_session_that_ends_are_refused(engine: Engine, database: Database) -> None:
    session = await engine.create(**request())
    database.query(
        "INSERT INTO sim_commands (session_id, user_id, action, args, requested_at)"
        " VALUES (%s, 'u', 'close', '{}', now() - interval '1 min') RETURNING id", session.id,
    )  # fmt: skip
    await engine.act(session.id, "stop")
    await engine.supervisor._apply_waiting_once()
    [(answer, status)] = database.query(
        "SELECT answer, answered_seq FROM sim_commands WHERE session_id = %s", session.id
    )
    assert (answer["status"], status) == (409, None)


async def test_an_event_of_a_command_ends_a_run_until_that_type(engine: Engine) -> None:
    session = await engine.create(**request(pace=Pace(60_000)))
    await step(engine, session.id)
    await engine.act(session.id, "runUntil", event_type="fill")
    await command(engine, session.id, type="limit", limitPrice=1)
    assert (await engine.get(session.id)).status == "running"
    await command(engine, session.id, fill="same_close")
    assert (await engine.get(session.id)).status == "paused"


async def test_a_diff_names_the_command_from_which_the_logs_differ(engine: Engine) -> None:
    ids = []
    for qty in (1, 2):
        session = await engine.create(**request())
        await command(engine, session.id)
        await step(engine, session.id, 3)
        await command(engine, session.id, qty=qty)
        await finish(engine, session.id)
        ids.append(session.id)
    diff = await engine.sim.diff(USER, *ids)
    assert diff.command is not None
    assert diff.command.command == 2
    assert (diff.command.payload_a or {})["args"]["qty"] == 1
    assert (diff.command.payload_b or {})["args"]["qty"] == 2
    assert (await engine.sim.diff(USER, ids[0], ids[0])).command is None


async def test_the_state_stays_in_memory_while_the_lease_is_valid(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await engine.create(**request())
    await command(engine, session.id)
    opened = []
    open_host = engine.sim.strategies.open_host
    monkeypatch.setattr(engine.sim.strategies, "open_host", lambda *a, **o: opened.append(a) or open_host(*a, **o))
    epoch = (await engine.get(session.id)).epoch
    for _ in range(5):
        await command(engine, session.id)
    assert (await engine.get(session.id)).epoch == epoch
    await step(engine, session.id, 3)
    await command(engine, session.id)
    assert opened == []
    status = [event for event in await engine.log(session.id) if event["type"] == "status"]
    assert [event["payload"]["reason"] for event in status] == ["step", "step"]
    await finish(engine, session.id)
    await verified(engine, session.id)


PLACES = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.sampled_from(
            [
                ("order", {**BUY}),
                ("order", {**BUY, "fill": "same_close", "side": "sell"}),
                ("order", {**BUY, "type": "limit", "limitPrice": 55_500, "goodForCandles": 3}),
                ("order", {**BUY, "type": "stop", "stopPrice": 55_600, "stopLoss": 55_000, "takeProfit": 56_000}),
                ("order", {"side": "buy", "type": "trailingStop", "trail": 20, "equityPct": 10}),
                ("close", {"fill": "same_close"}),
                ("cancel", {}),
            ]
        ),
        st.booleans(),
    ),
    max_size=12,
)


@pytest.mark.parametrize("record", ["full", "trades"])
async def test_random_commands_at_random_places_with_runners_that_die(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, record: str
) -> None:
    """The log of a session whose holders die equals that of an undisturbed one fed the same commands."""
    monkeypatch.setattr(chunk_builder, "_FIRST_SLOTS", 2)
    trading = replace(FREE, record=record)
    loop = asyncio.get_running_loop()

    async def once(places: list[tuple[int, tuple[str, dict[str, Any]], bool]]) -> None:
        session = await engine.create(**request(trading=trading))
        for ahead, (action, args), dies in places:
            if ahead and await engine.slots_done(session.id) + ahead < COUNT:
                await step(engine, session.id, ahead)
            if dies:
                await engine.supervisor._kept.close()
                engine.supervisor._leases.drop(session.id)
            with monkeypatch.context() as patch:
                if dies:
                    lose(engine, patch, written=ahead % 2 == 0)
                await engine.sim.commands.run(await engine.get(session.id), USER, action, args)
        ended = await finish(engine, session.id)
        assert ended.status == "finished", (ended.error, ended.error_details)
        assert len(await logged(engine, session.id)) == len(places)
        other = await repeat(engine, session.id, trading=trading)
        assert await engine.digest(other.id) == await engine.digest(session.id)
        await verified(engine, session.id)
        log = await engine.log(session.id)
        assert all(a["ts"] <= b["ts"] for a, b in pairwise(log))

    @settings(max_examples=6, database=None, suppress_health_check=list(HealthCheck), deadline=None)
    @given(PLACES)
    def run(places: list[tuple[int, tuple[str, dict[str, Any]], bool]]) -> None:
        asyncio.run_coroutine_threadsafe(once(places), loop).result(60)

    await asyncio.to_thread(run)


async def test_a_retried_key_gets_the_first_answer(engine: Engine) -> None:
    session = await engine.create(**request())
    run = engine.sim.commands.run
    first = await run(session, USER, "order", BUY, key="k")
    again = await run(session, USER, "order", BUY, key="k")
    assert (again.id, again.seq, again.repeated) == (first.id, first.seq, True)
    with pytest.raises(SimError, match="key"):
        await run(session, USER, "order", {**BUY, "qty": 2}, key="k")
    assert len(await engine.pool.run(commands.waiting, session.id)) == 0
    assert (await engine.pool.run(sessions.get, session.id)).commands == 1
