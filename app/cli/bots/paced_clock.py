"""A bot beside a session that runs at its own pace: the bot's clock follows the session's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from app.cli.bots.bot_clock import BotClock
from app.cli.bots.bot_process import BotProcess
from app.domain.session import ENDED, RUNNING, Session
from app.engine.session_clock import SessionClock
from app.engine.session_service import Action, SessionService

_READ_S = 0.1
_SET_S = 0.01


async def follow(
    sim: SessionService, session: Session, bot: BotProcess, clock: BotClock, show: Callable[[Session], None]
) -> None:
    """Start the session and follow its clock until it or the bot ends; then pause it if it still runs."""
    user, id_ = session.user_id, session.id
    if session.status != RUNNING:
        session = await sim.act(user, id_, Action("resume"))
    loop = asyncio.get_running_loop()
    while not bot.ended and not bot.signalled and session.status not in ENDED:
        read_s = loop.time()
        now = sim.clock_of(session)
        show(session)
        while (passed_s := loop.time() - read_s) < _READ_S and not bot.ended:
            clock.set(_time_ms(now, round(passed_s * 1000), session))
            await asyncio.sleep(_SET_S)
        session = await sim.get(user, id_)
    if session.status == RUNNING:
        await sim.act(user, id_, Action("pause"))


def _time_ms(now: SessionClock, passed_ms: int, session: Session) -> int:
    """Return the session's time so many ms after its clock was read: on the way to the next close, never past it."""
    if now.next_due_ms is None or now.next_open_ms is None:
        return now.now_ms
    pause_ms = max(1, session.spec.pace.offset_ns(1, session.spec.grid) // 1_000_000)
    left_ms = max(0, now.next_due_ms - now.server_ms - passed_ms)
    grid_ms = session.spec.grid.ms
    return now.now_ms + min(grid_ms - 1, max(0, grid_ms - round(grid_ms * left_ms / pause_ms)))
