"""`zeon demo`: start the server with a session on generated candles."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from app.candles.sources import synthetic
from app.cli import output
from app.cli.options import time_ms
from app.db import candles, sessions
from app.domain.session import FINISHED, RUNNING, STOPPED, Session
from app.engine.session_service import Action, SessionService
from app.errors import InputsChangedError
from app.logs import log_to_stderr
from app.settings import Settings, load
from app.web.http.parsing import parse
from app.web.serve import run_server, until_interrupted
from app.web.sim.requests import NewSession

TAG = "demo"
SYMBOL = "BTCUSDT"
TIMEFRAME = "1m"
START_MS = time_ms("2024-01-01")
AHEAD_MS = time_ms("2024-01-01T08:00")
"""A new demo session runs to this time without pauses, so that the page has something to show."""
END_MS = time_ms("2024-01-10")
MS_PER_CANDLE = 250

_TEXT = """\
ZEON sim is running. Its demo session trades on generated candles, four a second; they are not market data.

  page    {url}/sessions/{id}
  stream  curl -N {token}{url}/api/sim/sessions/{id}/stream
  psql    {zeon} psql -c "SELECT seq, at, what, close FROM sim_view_tail
            WHERE session_id = '{id}' ORDER BY seq DESC LIMIT 5"

Ctrl-C pauses the session and stops the server; the next run continues the session."""
_BEARER = '-H "Authorization: Bearer $TOKEN" '


def demo(
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
) -> None:
    """Start the server and a session on generated candles; the next run continues the same session."""
    settings = load()
    log_to_stderr(settings)
    if settings.database_url is None:
        output.line(f"Postgres under {settings.data_dir} ...")
    until_interrupted(_demo(settings, open_page=open_page))


async def _demo(settings: Settings, *, open_page: bool) -> None:
    async with run_server(settings) as server:
        session = await start_demo_session(server.sim, settings)
        output.line(_text(server.url, session, settings))
        if open_page and _has_screen():
            await asyncio.to_thread(webbrowser.open, f"{server.url}/sessions/{session.id}")
        await server.wait()


async def start_demo_session(sim: SessionService, settings: Settings) -> Session:
    """Continue the latest demo session, or start a new one if it has ended or its strategy's code has changed.

    A session marked running is paused first: another process runs it, or the process that ran it died.
    """
    session = await _latest(sim, settings.user) or await _create_session(sim, settings)
    if session.status == RUNNING:
        session = await sim.pause(session)
    try:
        return await _start(sim, session)
    except InputsChangedError:
        await sim.stop(session)
        return await _start(sim, await _create_session(sim, settings))


async def _start(sim: SessionService, session: Session) -> Session:
    """Start a session; a new one first runs to `AHEAD_MS` without pauses."""
    has_candles = session.cursor_ms is not None
    session = await sim.start(session.user_id, session.id)
    return session if has_candles else await sim.act(session.user_id, session.id, Action("jump", time_ms=AHEAD_MS))


async def _latest(sim: SessionService, user_id: str) -> Session | None:
    """Return the newest demo session that has not ended."""
    newest, _ = await sim.database.run(sessions.page, user_id, tag=TAG, limit=1)
    return next((session for session in newest if session.status not in (FINISHED, STOPPED)), None)


async def _create_session(sim: SessionService, settings: Settings) -> Session:
    generated = synthetic.candles(SYMBOL, TIMEFRAME, START_MS, END_MS)
    await sim.database.run(candles.store, synthetic.VENUE, SYMBOL, TIMEFRAME, generated)
    request = {
        "name": "Demo on generated candles",
        "tags": [TAG, "generated"],
        "profileSlug": "sma_cross",
        "config": {"fast": 10, "slow": 30, "side": "both", "lines": True},
        "venue": synthetic.VENUE,
        "symbol": SYMBOL,
        "timeframe": TIMEFRAME,
        "startMs": START_MS,
        "endMs": END_MS,
        "replayMsPerCandle": MS_PER_CANDLE,
        "feeBps": 1,
    }
    return (await sim.create(settings.user, parse(NewSession, request).spec(settings)))[0]


def _has_screen() -> bool:
    """Whether there is a terminal and a desktop to open a browser on."""
    desktop = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return sys.stdout.isatty() and bool(desktop)


def _text(url: str, session: Session, settings: Settings) -> str:
    token = "" if "none" in settings.auth else _BEARER
    return _TEXT.format(url=url, id=session.id, token=token, zeon=_program())


def _program() -> str:
    """Return the command that starts this program from the current folder."""
    program = sys.argv[0]
    return program if Path(program).name == "zeon" and shutil.which("zeon") != program else "zeon"
