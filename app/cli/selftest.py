"""`zeon selftest`: run a session from start to end on the configured database, in this process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

from app.candles import synthetic
from app.cli import output
from app.cli.command import locate
from app.cli.sessions import event_view
from app.clock import Clock
from app.db import candles, events, sessions
from app.db.location import DatabaseLocation
from app.db.lock import exclusive
from app.db.pool import Database
from app.domain.market.timeframe import timeframe
from app.domain.session import FAILED, PAUSED, RUNNING, Session
from app.engine.session_service import Action, SessionService
from app.engine.supervisor import Supervisor
from app.errors import SimError
from app.settings import Settings, load
from app.web.http.parsing import parse
from app.web.sim.requests import NewSession

NAME = "selftest"
"""The venue, user and runner of the self test: all it writes, until it removes it."""
SYMBOL = "BTCUSDT"
TIMEFRAME = "15m"
START_MS = 1_704_067_200_000
END_MS = START_MS + 86_400_000
MS_PER_CANDLE = 300
RUN_S = 2.5
QUIET_S = 1.0
PATIENCE_S = 5.0

Say = Callable[[str], None]
Log = list[dict[str, Any]]


class SelftestError(SimError):
    """The self test failed."""


def selftest() -> None:
    """Test this database: a session starts, runs, pauses and resumes; everything is removed afterwards."""
    settings = load()
    with locate(settings, set_up=True) as place:
        asyncio.run(run(settings, place, output.line))


async def run(settings: Settings, place: DatabaseLocation, say: Say) -> None:
    """Run the self test and report each step; raises `SelftestError` with the first difference."""
    began = time.monotonic()
    async with _engine(settings, place) as sim:
        session = await _created(sim, settings, say)
        await _starts(sim, session, say)
        await _pauses(sim, session, say)
        await _resumes(sim, session, say)
    say(f"passed in {time.monotonic() - began:.1f} s; nothing of it is left")


@asynccontextmanager
async def _engine(settings: Settings, place: DatabaseLocation) -> AsyncIterator[SessionService]:
    """Run an engine beside any servers of the database, and remove everything it wrote."""
    chosen = settings.model_copy(update={"runner": NAME, "on_orphan": "pause"})
    clock = Clock()
    database = Database(place.url, size=4, application_name="zeon selftest")
    await database.open()
    try:
        async with exclusive(database, NAME):
            supervisor = Supervisor(database, chosen, listen_url=place.listen_url, clock=clock, own_sessions_only=True)
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
    """Remove what this self test, or one that was killed, wrote."""
    left, _ = await sim.database.run(sessions.page, NAME)
    for session in left:
        if session.status == RUNNING:
            await sim.stop(NAME, session.id)
        await sim.delete(NAME, session.id)
    await sim.database.run(candles.delete, NAME, SYMBOL, TIMEFRAME)


async def _created(sim: SessionService, settings: Settings, say: Say) -> Session:
    made_up = synthetic.candles(SYMBOL, TIMEFRAME, START_MS, END_MS)
    stored = await sim.database.run(candles.store, NAME, SYMBOL, TIMEFRAME, made_up)
    say(f"stored   {stored.new} made-up candles of {SYMBOL} {TIMEFRAME}, one day, at venue {NAME}")
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


async def _starts(sim: SessionService, session: Session, say: Say) -> None:
    await sim.start(NAME, session.id)
    early = await _until(sim, session, lambda log: _candles(log) >= 1, "no candle came")
    await asyncio.sleep(RUN_S)
    log = await _until(sim, session, lambda log: _candles(log) >= 3, "fewer than 3 candles came")
    _require(len(log) > len(early), f"seq did not rise above {len(early)}")
    say(f"started  {_candles(log)} candle events in the log, seq 1 to {len(log)} without a hole")


async def _pauses(sim: SessionService, session: Session, say: Say) -> None:
    paused = await sim.pause(NAME, session.id)
    _require(paused.status == PAUSED, f"after pause the session is {paused.status}")
    await asyncio.sleep(QUIET_S)
    added = len(await _log(sim, session)) - paused.last_seq
    _require(added == 0, f"{added} events were added after the pause")
    say(f"paused   at seq {paused.last_seq}; nothing was added in {QUIET_S:g} s")


async def _resumes(sim: SessionService, session: Session, say: Say) -> None:
    before = await _log(sim, session)
    await sim.act(NAME, session.id, Action("resume"))
    log = await _until(sim, session, lambda log: _candles(log) > _candles(before), "no candle came after resume")
    times = [event["payload"]["candle"]["openTimeMs"] for event in log if event["type"] == "candle"]
    step = timeframe(TIMEFRAME).ms
    _require(times[0] == START_MS, "the first candle is not the first of the day")
    _require(all(b - a == step for a, b in pairwise(times)), "a candle is missing or came twice")
    say(f"resumed  with seq {len(before) + 1}, then candles in order up to seq {len(log)}")


async def _until(sim: SessionService, session: Session, fits: Callable[[Log], bool], complaint: str) -> Log:
    """Read the log until it fits; raises `SelftestError` after `PATIENCE_S`, or at once when the session failed."""
    deadline = time.monotonic() + PATIENCE_S
    while not fits(log := await _log(sim, session)):
        present = await sim.get(NAME, session.id)
        _require(present.status != FAILED, f"the session failed: {present.error}")
        _require(time.monotonic() < deadline, complaint)
        await asyncio.sleep(0.05)
    return log


async def _log(sim: SessionService, session: Session) -> Log:
    """Read the whole log, which must have no gaps in seq."""
    frames = await sim.database.run(events.frames, session.id, 0)
    log = [json.loads(event) for event in event_view.events(frames)]
    _require([event["seq"] for event in log] == list(range(1, len(log) + 1)), "seq has a hole")
    return log


def _candles(log: Log) -> int:
    return sum(event["type"] == "candle" for event in log)


def _require(fine: bool, complaint: str) -> None:
    if not fine:
        raise SelftestError(f"The self test failed: {complaint}.")
