"""`zeon run SESSION -- COMMAND`: run a bot with the addresses and the clock of a session, in lock-step with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli.bots.bot_clock import library
from app.cli.bots.bot_output import bot_output
from app.cli.bots.bot_run import BotRun, Mode
from app.cli.options import SessionId, as_usage
from app.cli.run import Context, run

Command = Annotated[list[str], typer.Argument(metavar="-- COMMAND", help="The bot and its arguments.")]
Server = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", help="Address of the server; default: the one of HOST and PORT."),
]
Free = Annotated[bool, typer.Option("--free", help="Run at the session's pace instead of in lock-step.")]
NoClock = Annotated[
    bool, typer.Option("--no-clock", help="Only give the addresses: the bot is its own clock and steps the session.")
]
Skip = Annotated[
    bool, typer.Option("--skip", help="Let the session pass candles during which the bot sleeps, as a market does.")
]
Log = Annotated[Path | None, typer.Option("--log", metavar="FILE", help="Write the bot's output to a file instead.")]
Requests = Annotated[
    Path | None, typer.Option("--requests", metavar="FILE", help="Write each request of the bot to a file.")
]


def run_bot(
    session_id: SessionId,
    command: Command,
    server: Server = None,
    free: Free = False,
    no_clock: NoClock = False,
    skip: Skip = False,
    log: Log = None,
    requests: Requests = None,
) -> None:
    """Run a bot in a session: with its addresses and its clock, in lock-step; ends with the bot's exit code.

    {ccxt}, {freqtrade}, {python_binance}, {binance_connector} in the command: a file with the settings of that client.

    {url}, {ws}, {key}, {server}, {session}: the addresses. The environment has all of them, such as ZEON_BOT_URL.
    """
    if not no_clock:
        with as_usage():
            library()

    async def work(context: Context) -> int:
        session = await context.sim.get(context.user, await context.session_id(session_id))
        address = server or f"http://{context.settings.host}:{context.settings.port}"
        with bot_output(session, log, requests) as output:
            return await BotRun(context, session, Mode(free, not no_clock, skip), output).run(command, address)

    raise typer.Exit(run(work))
