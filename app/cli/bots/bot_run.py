"""A run of a bot in a session, from its start to its end."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from app.cli.bots.bot_clock import BotClock
from app.cli.bots.bot_output import BotOutput
from app.cli.bots.bot_process import BotProcess
from app.cli.bots.bot_settings import BotSettings
from app.cli.bots.lock_step import LockStep
from app.cli.bots.paced_clock import follow
from app.cli.bots.relay import Relay
from app.cli.bots.traffic import Traffic
from app.cli.run import Context, audit_origin
from app.domain.session import ENDED, RUNNING, Session
from app.errors import NotFoundError, WrongStatusError
from app.web.exchange.bot_keys import create_bot_key, revoke_bot_key

_KEY_DAYS = 30


class Mode(NamedTuple):
    """How a bot runs: `free` at the session's pace, without `clock` by its own steps, `skip` past candles it sleeps."""

    free: bool
    clock: bool
    skip: bool


class BotRun:
    """Runs one bot in one session."""

    def __init__(self, context: Context, session: Session, mode: Mode, output: BotOutput) -> None:
        self._context = context
        self._session = session
        self._mode = mode
        self._output = output
        self._now_ms = context.sim.clock_of(session).now_ms
        self._traffic = Traffic(self._now_ms, output.request)

    async def run(self, command: Sequence[str], server: str) -> int:
        """Run a command to its end and return its exit code. Raises `WrongStatusError`, `BadInputError`."""
        self._require_ready()
        with tempfile.TemporaryDirectory(prefix="zeon-run-") as folder:
            async with self._key() as key, self._relay(server) as relay, self._clock(Path(folder)) as clock:
                address = f"http://127.0.0.1:{relay.port}"
                settings = BotSettings.write(Path(folder), address, self._session.id, key)
                environment = {**os.environ, **settings.environment()}
                if self._mode.clock:
                    environment |= clock.environment(environment)
                with _signals(clock) as signals:
                    bot = await BotProcess.start(settings.fill_in(command), environment, self._output.line)
                    signals.append(bot)
                    return await self._to_the_end(bot, relay, clock)

    async def _to_the_end(self, bot: BotProcess, relay: Relay, clock: BotClock) -> int:
        """Return the bot's exit code; it is ended with the range of the session, or if the session cannot go on."""
        try:
            await self._follow(bot, relay, clock)
        except BaseException:
            await _end(bot, clock)
            raise
        return await (bot.wait() if bot.ended or bot.signalled else _end(bot, clock))

    async def _follow(self, bot: BotProcess, relay: Relay, clock: BotClock) -> None:
        """Return when the bot has ended or was asked to end, or when the range of the session is over."""
        sim, show = self._context.sim, self._output.show
        if not self._mode.clock:
            await bot.wait()
        elif self._mode.free:
            await follow(sim, self._session, bot, clock, show)
        else:
            steps = LockStep(sim, self._session, bot, relay, self._traffic, clock, show, skip=self._mode.skip)
            await steps.run()

    def _require_ready(self) -> None:
        """Raise `WrongStatusError` unless the session can begin."""
        status = self._session.status
        if status in ENDED:
            raise WrongStatusError(f"The session is {status}; fork it, or create another one.")
        if status == RUNNING and self._mode.clock and not self._mode.free:
            raise WrongStatusError("The session is running; pause it first, or run the bot at its pace with --free.")

    @asynccontextmanager
    async def _key(self) -> AsyncIterator[str]:
        """Yield a bot key of the session, which is revoked at the end."""
        end = datetime.now(UTC) + timedelta(days=_KEY_DAYS)
        run, user = self._context.database.run, self._context.user
        token, key = await run(create_bot_key, audit_origin(), user, self._session, "zeon run", end)
        try:
            yield key
        finally:
            with suppress(NotFoundError):  # The session was deleted meanwhile.
                await run(revoke_bot_key, audit_origin(), user, self._session.id, token.id)

    @asynccontextmanager
    async def _relay(self, server: str) -> AsyncIterator[Relay]:
        relay = Relay(server, self._traffic)
        await relay.open()
        try:
            yield relay
        finally:
            await relay.close()

    @asynccontextmanager
    async def _clock(self, folder: Path) -> AsyncIterator[BotClock]:
        clock = BotClock(folder, self._now_ms)
        await clock.open()
        try:
            yield clock
        finally:
            await clock.close()


async def _end(bot: BotProcess, clock: BotClock) -> int:
    """End the bot as Ctrl-C does; its clock goes on meanwhile."""
    bot.send(signal.SIGINT)
    clock.go()
    return await bot.end()


@contextmanager
def _signals(clock: BotClock) -> Iterator[list[BotProcess]]:
    """Hand SIGINT and SIGTERM on to the bots that are added to the list.

    They are caught before a bot starts: it would inherit that they are ignored, as in the background of a shell.
    """
    loop = asyncio.get_running_loop()
    bots: list[BotProcess] = []

    def hand_on(number: int) -> None:
        for bot in bots:
            bot.send(number)
        clock.go()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, hand_on, number)
    try:
        yield bots
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
