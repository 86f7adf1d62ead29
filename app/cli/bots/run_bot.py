"""`zeon run SESSION -- COMMAND`: run a bot with the addresses and the clock of a session, in lock-step with it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli import output
from app.cli.bots.bot_clock import BotClock, library
from app.cli.bots.bot_process import BotProcess
from app.cli.bots.bot_settings import BotSettings
from app.cli.bots.lock_step import LockStep
from app.cli.bots.paced_clock import follow
from app.cli.bots.relay import Relay
from app.cli.bots.traffic import Traffic
from app.cli.options import SessionId, as_usage
from app.cli.run import Context, audit_origin, run
from app.domain.session import ENDED, RUNNING, Session
from app.errors import NotFoundError, WrongStatusError
from app.web.exchange.bot_keys import create_bot_key, revoke_bot_key

Command = Annotated[list[str], typer.Argument(metavar="-- COMMAND", help="The bot and its arguments.")]
Server = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", help="Address of the server; default: the one of HOST and PORT."),
]
Free = Annotated[bool, typer.Option("--free", help="Run at the session's pace instead of in lock-step.")]
NoClock = Annotated[
    bool, typer.Option("--no-clock", help="Only give the addresses: the bot has its own clock and steps itself.")
]
Skip = Annotated[
    bool, typer.Option("--skip", help="Let the session pass candles during which the bot sleeps, as a market does.")
]
LogFile = Annotated[
    Path | None, typer.Option("--log", metavar="FILE", help="Write the bot's output to a file instead.")
]
_KEY_DAYS = 30


class Mode(NamedTuple):
    """How a bot runs beside its session."""

    free: bool
    clock: bool
    skip: bool


def run_bot(
    session_id: SessionId,
    command: Command,
    server: Server = None,
    free: Free = False,
    no_clock: NoClock = False,
    skip: Skip = False,
    log: LogFile = None,
) -> None:
    """Run a bot in a session: with its addresses and its clock, in lock-step; ends with the bot's exit code.

    {ccxt}, {freqtrade}, {python_binance} and {binance_connector} in the command become JSON files with the settings
    of that client; {url}, {ws}, {key}, {server} and {session} the addresses. The environment has them as ZEON_BOT_URL
    and so on.
    """
    mode = Mode(free, not no_clock, skip)
    if mode.clock:
        with as_usage():
            library()

    async def work(context: Context) -> int:
        session = await context.sim.get(context.user, await context.session_id(session_id))
        _require_ready(session, mode)
        address = server or f"http://{context.settings.host}:{context.settings.port}"
        with _output(session, log) as (write, show), tempfile.TemporaryDirectory(prefix="zeon-run-") as folder:
            async with _bot_key(context, session) as key:
                return await _run(context, session, command, address, key, Path(folder), mode, write, show)

    raise typer.Exit(run(work))


def _require_ready(session: Session, mode: Mode) -> None:
    """Raise `WrongStatusError` unless the session can begin."""
    if session.status in ENDED:
        raise WrongStatusError(f"The session is {session.status}; fork it, or create another one.")
    if session.status == RUNNING and mode.clock and not mode.free:
        raise WrongStatusError("The session is running; pause it first, or run the bot at its pace with --free.")


async def _run(
    context: Context,
    session: Session,
    command: Sequence[str],
    server: str,
    key: str,
    folder: Path,
    mode: Mode,
    write: Callable[[str], None],
    show: Callable[[Session], None],
) -> int:
    """Run the bot to its end; return its exit code."""
    now_ms = context.sim.clock_of(session).now_ms
    traffic = Traffic(now_ms)
    async with _relay(server, traffic) as relay, _clock(folder, now_ms) as clock:
        address = f"http://127.0.0.1:{relay.port}"
        settings = BotSettings.write(folder, address, session.id, key)
        environment = {**os.environ, **settings.environment()}
        if mode.clock:
            environment |= clock.environment(environment)
        with as_usage():
            bot = await BotProcess.start(settings.fill_in(command), environment, write)
        with _signals_to(bot, clock):
            try:
                await _follow(context, session, bot, relay, traffic, clock, show, mode)
            except BaseException:
                await _end(bot, clock)
                raise
            return await (_end(bot, clock) if not bot.ended and not bot.signalled else bot.wait())


async def _follow(
    context: Context,
    session: Session,
    bot: BotProcess,
    relay: Relay,
    traffic: Traffic,
    clock: BotClock,
    show: Callable[[Session], None],
    mode: Mode,
) -> None:
    """Return when the bot has ended or was asked to end, or when the range of the session is over."""
    if not mode.clock:
        await bot.wait()
    elif mode.free:
        await follow(context.sim, session, bot, clock, show)
    else:
        await LockStep(context.sim, session, bot, relay, traffic, clock, show, skip=mode.skip).run()


async def _end(bot: BotProcess, clock: BotClock) -> int:
    """End the bot as Ctrl-C does; its sleeps end at once then."""
    bot.send(signal.SIGINT)
    clock.stop()
    return await bot.end()


@asynccontextmanager
async def _bot_key(context: Context, session: Session) -> AsyncIterator[str]:
    """Yield a bot key of the session, which is revoked at the end."""
    end = datetime.now(UTC) + timedelta(days=_KEY_DAYS)
    run_ = context.database.run
    token, key = await run_(create_bot_key, audit_origin(), context.user, session, "zeon run", end)
    try:
        yield key
    finally:
        with suppress(NotFoundError):  # The session was deleted meanwhile.
            await run_(revoke_bot_key, audit_origin(), context.user, session.id, token.id)


@asynccontextmanager
async def _relay(server: str, traffic: Traffic) -> AsyncIterator[Relay]:
    relay = Relay(server, traffic)
    await relay.open()
    try:
        yield relay
    finally:
        await relay.close()


@asynccontextmanager
async def _clock(folder: Path, now_ms: int) -> AsyncIterator[BotClock]:
    clock = BotClock(folder, now_ms)
    await clock.open()
    try:
        yield clock
    finally:
        await clock.close()


@contextmanager
def _signals_to(bot: BotProcess, clock: BotClock) -> Iterator[None]:
    """Hand SIGINT and SIGTERM on to the bot."""
    loop = asyncio.get_running_loop()

    def hand_on(number: int) -> None:
        bot.send(number)
        clock.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, hand_on, number)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


@contextmanager
def _output(session: Session, log: Path | None) -> Iterator[tuple[Callable[[str], None], Callable[[Session], None]]]:
    """Yield what takes the bot's lines, each with the session's time before it, and what shows the progress."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    file = None if log is None else log.open("a", encoding="utf-8")
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("", total=None)
        present = [session]

        def show(now: Session) -> None:
            present[0] = now
            spec, cursor_ms = now.spec, now.cursor_ms
            first_ms, last_ms = spec.first_slot_ms, spec.last_slot_ms
            done = 0 if cursor_ms is None else (cursor_ms - first_ms) // spec.grid.ms + 1
            total = None if last_ms is None else (last_ms - first_ms) // spec.grid.ms + 1
            progress.update(task, description=_time(now), completed=done, total=total)

        def write(line: str) -> None:
            text = f"{_time(present[0])} | {line}"
            if file is None:
                output.line(text)
            else:
                file.write(f"{text}\n")
                file.flush()

        show(session)
        try:
            yield write, show
        finally:
            if file is not None:
                file.close()


def _time(session: Session) -> str:
    """Return the session's time as text: the close of its last candle."""
    cursor_ms = session.cursor_ms
    return output.utc(session.spec.start_ms if cursor_ms is None else cursor_ms + session.spec.grid.ms)
