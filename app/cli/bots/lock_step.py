"""Lock-step: the session makes a step when its bot has the present candle and has nothing left to do."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from app.cli import output
from app.cli.bots.bot_clock import BotClock
from app.cli.bots.bot_process import BotProcess
from app.cli.bots.relay import Relay
from app.cli.bots.traffic import Traffic
from app.domain.session import ENDED, FINISHED, RUNNING, Session
from app.engine.session_service import Action, SessionService
from app.errors import CursorMovedError, WrongStatusError

_SAMPLES = 5
_SAMPLE_S, _BUSY_S = 0.001, 0.002
_POLL_S, _MAX_POLL_S = 0.003, 0.1
_SHORT_MS, _MAX_SHORT_MS = 1000, 2000
"""A shorter sleep is a break within the bot's work, such as that of a rate limiter; so much of them per candle."""
_REAL_S = 0.05
_PATIENCE_S = 2.0
"""Seconds that a stream has to bring a candle before the bot's sleeps go on without it."""
_LAST_S = 10.0
"""Seconds that a bot gets to ask for the last candle."""


class LockStep:
    """Steps a session beside a bot, and sets the bot's clock.

    The bot's clock is the session's after each step. While the bot sleeps and has not got the present candle, only its
    clock moves on, to the end of its next sleep. With `skip` the session goes on too while the bot sleeps past a close.
    """

    def __init__(
        self,
        sim: SessionService,
        session: Session,
        bot: BotProcess,
        relay: Relay,
        traffic: Traffic,
        clock: BotClock,
        show: Callable[[Session], None],
        *,
        skip: bool = False,
    ) -> None:
        self._sim = sim
        self.session = session
        self._bot = bot
        self._relay = relay
        self._traffic = traffic
        self._clock = clock
        self._show = show
        self._skip = skip
        self._short_ms, self._patience_s = 0.0, _PATIENCE_S
        self._noted = False

    async def run(self) -> None:
        """Go on until the bot ends, is asked to end, or has got the last candle of the range.

        Raises `WrongStatusError` if somebody else ends the session.
        """
        left_s = _LAST_S
        while not self._bot.ended and not self._bot.signalled:
            if not await self._idle():
                await asyncio.sleep(_BUSY_S)
            elif not self.over:
                await self._advance()
            elif self._traffic.given or left_s <= 0:
                return
            elif (next_ms := self._clock.next_ms) is not None:
                left_s -= _REAL_S
                self._clock.set(math.ceil(next_ms))
            else:
                left_s -= _REAL_S
                await self._wait(limit_ms=self._clock.now_ms + 1000)

    @property
    def over(self) -> bool:
        """Whether the range of the session is over."""
        return self.session.status == FINISHED

    async def _idle(self) -> bool:
        """Whether the bot sleeps, in several samples, and no request is under way."""
        for _ in range(_SAMPLES):
            if self._traffic.under_way or not self._bot.asleep:
                return False
            await asyncio.sleep(_SAMPLE_S)
        return not self._traffic.under_way

    async def _advance(self) -> None:
        """Make the session step, or only move the bot's clock on."""
        next_ms = self._clock.next_ms
        close_ms = self._traffic.present_ms + self.session.spec.grid.ms
        if self._traffic.given:
            ahead_ms = math.inf if next_ms is None else next_ms - self._clock.now_ms
            if ahead_ms < _SHORT_MS and self._short_ms < _MAX_SHORT_MS:
                self._short_ms += max(1.0, ahead_ms)
                self._clock.set(self._clock.now_ms + math.ceil(ahead_ms))
            elif not self._relay.bytes_wait:
                await self._step()
            elif next_ms is None:
                await asyncio.sleep(_BUSY_S)
            else:
                self._clock.set(math.ceil(next_ms))
        elif self._traffic.streams and self._traffic.streams_candles and self._patience_s > 0:
            self._patience_s -= _BUSY_S
            await asyncio.sleep(_BUSY_S)
        elif next_ms is None or (self._traffic.streams and next_ms >= close_ms):
            await self._wait(limit_ms=close_ms - 1)
        elif self._skip and next_ms >= close_ms:
            await self._step()
        else:
            self._note_overslept(next_ms >= close_ms)
            self._clock.set(math.ceil(next_ms))

    def _note_overslept(self, overslept: bool) -> None:
        """Say once that the session waits for a bot that sleeps past the close of the next candle."""
        if overslept and not self._noted:
            self._noted = True
            output.note(
                "The bot sleeps past the close of the next candle and has not asked for the present one. The session"
                " waits, so that the bot gets each candle; --skip lets it go on."
            )

    async def _wait(self, limit_ms: int) -> None:
        """Let the bot's clock go on with the real one: the bot waits for a stream, or in an unknown way."""
        await asyncio.sleep(_REAL_S)
        self._clock.set(min(self._clock.now_ms + round(_REAL_S * 1000), limit_ms))

    async def _step(self) -> None:
        """Make one step and set the bot's clock to the session's; then what streams bring reaches the bot.

        For a bot that gets its candles by streams its sleeps end only when it has been given the new one, so that both
        have one order in every run.
        """
        self._short_ms, self._patience_s = 0.0, _PATIENCE_S
        self._traffic.passing.clear()
        try:
            self.session = await self._stepped()
            self._traffic.present_ms = self._sim.clock_of(self.session).now_ms
            by_stream = self._traffic.streams > 0 and self._traffic.streams_candles
            self._clock.set(self._traffic.present_ms, release=not by_stream)
        finally:
            self._traffic.passing.set()
        self._show(self.session)

    async def _stepped(self) -> Session:
        """Return the session after one step; raises `WrongStatusError` if somebody else has ended it."""
        user, id_ = self.session.user_id, self.session.id
        try:
            step = Action("step", steps=1, if_cursor=(self.session.cursor_ms,))
            session = await self._sim.act_on(self.session, step)
        except CursorMovedError:
            session = await self._sim.get(user, id_)
        poll_s = _POLL_S
        while session.status == RUNNING and not self._bot.ended and not self._bot.signalled:
            await asyncio.sleep(poll_s)
            poll_s = min(1.5 * poll_s, _MAX_POLL_S)
            session = await self._sim.get(user, id_)
        if session.status in ENDED and session.status != FINISHED:
            raise WrongStatusError(f"The session is {session.status}: {session.error or 'it was ended from outside.'}")
        return session
