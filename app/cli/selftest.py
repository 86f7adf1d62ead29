"""`zeon selftest`: run a session from start to end on the configured database, in this process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

from app.candles.sources import synthetic
from app.cli import output
from app.cli.run import locate
from app.cli.sessions import event_view
from app.clock import Clock
from app.db import candles, sessions
from app.db.lock import exclusive
from app.db.log import events
from app.db.pool import Database
from app.db.setup.location import DatabaseLocation
from app.domain.market.timeframe import timeframe
from app.domain.session import FAILED, PAUSED, RUNNING, Session
from app.engine.session_service import Action, SessionService
from app.engine.supervisor import Supervisor
from app.errors import SimError
from app.settings import Settings, load
from app.web.http.parsing import parse
from app.web.sim.requests import NewSession

NAME = "selftest"
"""The venue, user and runner of the self test; everything that has this name is removed at the end."""
SYMBOL = "BTCUSDT"
TIMEFRAME = "15m"
START_MS = 1_704_067_200_000
END_MS = START_MS + 86_400_000
MS_PER_CANDLE = 300
RUN_S = 2.5
QUIET_S = 1.0
TIMEOUT_S = 5.0

Say = Callable[[str], None]
Log = list[dict[str, Any]]


class SelftestError(SimError):
    """The self test failed."""


def selftest() -> None:
    """Test this database: start, pause and resume a session, check its log, and remove it."""
    settings = load()
    with locate(settings, set_up=True) as location:
        asyncio.run(run(settings, location, output.line))


async def run(settings: Settings, location: DatabaseLocation, say: Say) -> None:
    """Run the self test and report each step; raises `SelftestError` for the first check that fails."""
    began = time.monotonic()
    async with _engine(settings, location) as sim:
        session = await _create_session(sim, settings, say)
        await _check_start(sim, session, say)
        await _check_pause(sim, session, say)
        await _check_resume(sim, session, say)
    say(f"passed in {time.monotonic() - began:.1f} s; everything is removed")


@asynccontextmanager
async def _engine(settings: Settings, location: DatabaseLocation) -> AsyncIterator[SessionService]:
    """Run an engine next to the servers of the database, and remove everything it wrote."""
    chosen = settings.model_copy(update={"runner": NAME, "on_orphan": "pause"})
    clock = Clock()
    database = Database(location.url, size=4, application_name="zeon selftest")
    await database.open()
    try:
        async with exclusive(database, NAME):
            supervisor = Supervisor(
                database, chosen, listen_url=location.listen_url, clock=clock, own_sessions_only=True
            )
            sim = SessionService(database, chosen, clock, supervisor)
            await _remove(sim)
            try:
                await supervisor.open()
                yield sim
            finally:
                await supervisor.close()
                await _remove(sim)
    finally:
        await database.close()


async def _remove(sim: SessionService) -> None:
    """Remove what this self test wrote, or an earlier one that was killed."""
    leftover, _ = await sim.database.run(sessions.page, NAME)
    for session in leftover:
        if session.status == RUNNING:
            await sim.stop(session)
        await sim.delete(NAME, session.id)
    await sim.database.run(candles.delete, NAME, SYMBOL, TIMEFRAME)


async def _create_session(sim: SessionService, settings: Settings, say: Say) -> Session:
    generated = synthetic.candles(SYMBOL, TIMEFRAME, START_MS, END_MS)
    stored = await sim.database.run(candles.store, NAME, SYMBOL, TIMEFRAME, generated)
    say(f"stored   {stored.new} generated candles of {SYMBOL} {TIMEFRAME}, one day, at venue {NAME}")
    request = {
        "profileSlug": "none",
        "venue": NAME,
        "symbol": SYMBOL,
        "timeframe": TIMEFRAME,
        "startMs": START_MS,
        "endMs": END_MS,
        "replayMsPerCandle": MS_PER_CANDLE,
    }
    session, _ = await sim.create(NAME, parse(NewSession, request).spec(settings))
    say(f"created  session {session.id}, {MS_PER_CANDLE} ms per candle")
    return session


async def _check_start(sim: SessionService, session: Session, say: Say) -> None:
    await sim.start(NAME, session.id)
    early = await _until(sim, session, lambda log: _count_candles(log) >= 1, "no candle arrived")
    await asyncio.sleep(RUN_S)
    log = await _until(sim, session, lambda log: _count_candles(log) >= 3, "fewer than 3 candles arrived")
    _require(len(log) > len(early), f"seq did not rise above {len(early)}")
    say(f"started  {_count_candles(log)} candle events in the log, seq 1 to {len(log)} without gaps")


async def _check_pause(sim: SessionService, session: Session, say: Say) -> None:
    paused = await sim.act(NAME, session.id, Action("pause"))
    _require(paused.status == PAUSED, f"after pause the session is {paused.status}")
    await asyncio.sleep(QUIET_S)
    added = len(await _log(sim, session)) - paused.last_seq
    _require(added == 0, f"{added} events were added after the pause")
    say(f"paused   at seq {paused.last_seq}; nothing was added in {QUIET_S:g} s")


async def _check_resume(sim: SessionService, session: Session, say: Say) -> None:
    before = await _log(sim, session)
    await sim.act(NAME, session.id, Action("resume"))
    log = await _until(
        sim, session, lambda log: _count_candles(log) > _count_candles(before), "no candle arrived after resume"
    )
    times = [event["payload"]["candle"]["openTimeMs"] for event in log if event["type"] == "candle"]
    step = timeframe(TIMEFRAME).ms
    _require(times[0] == START_MS, "the first candle is not the first of the day")
    _require(all(b - a == step for a, b in pairwise(times)), "a candle is missing or repeated")
    say(f"resumed  with seq {len(before) + 1}, then candles in order up to seq {len(log)}")


async def _until(sim: SessionService, session: Session, condition: Callable[[Log], bool], message: str) -> Log:
    """Read the log until the condition holds; raises `SelftestError` after `TIMEOUT_S`, or if the session failed."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition(log := await _log(sim, session)):
        present = await sim.get(NAME, session.id)
        _require(present.status != FAILED, f"the session failed: {present.error}")
        _require(time.monotonic() < deadline, message)
        await asyncio.sleep(0.05)
    return log


async def _log(sim: SessionService, session: Session) -> Log:
    """Read the whole log, which must have no gaps in seq."""
    frames = await sim.database.run(events.frames, session.id, 0)
    log = [json.loads(event) for event in event_view.events(frames)]
    _require([event["seq"] for event in log] == list(range(1, len(log) + 1)), "seq has gaps")
    return log


def _count_candles(log: Log) -> int:
    return sum(event["type"] == "candle" for event in log)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise SelftestError(f"The self test failed: {message}.")
