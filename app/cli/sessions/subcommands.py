"""`zeon sessions`: create and control sessions directly in the database; any live server runs them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import typer

from app.cli import output
from app.cli.options import Json, SessionId, as_usage, read_id, time_ms, without_none
from app.cli.run import Context, run
from app.cli.sessions import session_view
from app.cli.sessions.compare import compare
from app.cli.sessions.create import create
from app.cli.sessions.fork import fork
from app.cli.sessions.setting_options import Given, takes_settings
from app.db import sessions
from app.domain.session import ENDED, STATUSES, Pace, Session
from app.domain.setting import setting_fields
from app.engine.session_service import Action
from app.web.http.parsing import parse
from app.web.sim.requests import ControlRequest, SessionsQuery

app = typer.Typer(no_args_is_help=True, help="Create, control, list and delete sessions; any live server runs them.")
app.command()(create)
app.command()(fork)
app.command()(compare)

Ids = Annotated[
    list[str], typer.Argument(parser=read_id, metavar="ID...", help="The sessions' ids, or their first or last digits.")
]
Status = Annotated[str | None, typer.Option(metavar="STATUS", help=f"One of {', '.join(STATUSES)}.")]
Tag = Annotated[str | None, typer.Option(metavar="TEXT", help="Show only sessions with this tag.")]
Limit = Annotated[int, typer.Option(metavar="N", min=1, max=200, help="Number of sessions, newest first.")]
Days = Annotated[
    int,
    typer.Option("--older-than", metavar="DAYS", min=0, help="Delete sessions that ended at least this many days ago."),
]
Candles = Annotated[int, typer.Option("--candles", metavar="N", help="Number of slots to run.")]
IfCursor = Annotated[
    int | None, typer.Option("--if-cursor", metavar="MS", help="Act only if the session's cursor is this time.")
]
UntilTime = Annotated[
    int | None,
    typer.Option("--time", parser=time_ms, metavar="TIME", help="Pause before this time: ms or ISO 8601, UTC."),
]
UntilType = Annotated[
    str | None, typer.Option("--event-type", metavar="TYPE", help="Pause after the next event of this type.")
]
ToTime = Annotated[
    int,
    typer.Option("--time", parser=time_ms, metavar="TIME", help="Time to jump to; after it the normal pace applies."),
]
Revised = Annotated[
    bool, typer.Option("--accept-revised", help="Continue although candles that the session has used were revised.")
]
Changed = Annotated[
    bool,
    typer.Option(
        "--accept-changed", help="If changed code of the strategy gives another log, fork the session before that."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be deleted, and delete nothing.")]

_PAGE = 200


@app.command()
def start(
    session_id: SessionId, accept_revised: Revised = False, accept_changed: Changed = False, json: Json = False
) -> None:
    """Start a session at its cursor; a live server runs it."""
    _act(session_id, Action("start", accept_revised=accept_revised, accept_changed=accept_changed), json)


@app.command()
def pause(session_id: SessionId, json: Json = False) -> None:
    """Pause a running session; after this command no candle follows."""
    _act(session_id, Action("pause"), json)


@app.command()
def resume(
    session_id: SessionId, accept_revised: Revised = False, accept_changed: Changed = False, json: Json = False
) -> None:
    """Resume a paused session with its next candle; one just created is started."""
    _act(session_id, Action("resume", accept_revised=accept_revised, accept_changed=accept_changed), json)


@app.command()
def stop(session_id: SessionId, json: Json = False) -> None:
    """Stop a session for good; its log remains."""
    _act(session_id, Action("stop"), json)


@app.command()
@takes_settings([field.name for field in setting_fields(Pace)])
def pace(given: Given, session_id: SessionId, json: Json = False) -> None:
    """Change the pace of a session, also while it runs."""
    _control(session_id, json, action="pace", **given)


@app.command()
def step(session_id: SessionId, candles: Candles = 1, if_cursor: IfCursor = None, json: Json = False) -> None:
    """Run the next slots of a session that is not running, then pause it."""
    _control(session_id, json, action="step", candles=candles, ifCursorMs=if_cursor)


@app.command("run-until")
def run_until(
    session_id: SessionId,
    time: UntilTime = None,
    event_type: UntilType = None,
    if_cursor: IfCursor = None,
    json: Json = False,
) -> None:
    """Run a session that is not running up to a time, or to the next event of a type, then pause it."""
    _control(session_id, json, action="runUntil", timeMs=time, eventType=event_type, ifCursorMs=if_cursor)


@app.command()
def jump(session_id: SessionId, time: ToTime, json: Json = False) -> None:
    """Run a session without pauses up to a time; everything up to there is computed and logged."""
    _control(session_id, json, action="jump", timeMs=time)


@app.command("list")
def list_(status: Status = None, tag: Tag = None, limit: Limit = 50, json: Json = False) -> None:
    """List your sessions, newest first."""
    with as_usage():
        query = parse(SessionsQuery, without_none(status=status, tag=tag, limit=limit))

    async def work(context: Context) -> list[Session]:
        return (await context.sim.page(context.user, **query.model_dump()))[0]

    session_view.print_sessions(run(work), json)


@app.command("show")
def show_(session_id: SessionId, json: Json = False) -> None:
    """Show a session: what it replays, its status and its cursor."""

    async def work(context: Context) -> Session:
        return await context.sim.show(context.user, await context.session_id(session_id))

    session_view.print_session(run(work), json)


@app.command()
def delete(session_ids: Ids) -> None:
    """Delete sessions that are not running, with their logs."""

    async def work(context: Context) -> None:
        for session_id in [await context.session_id(digits) for digits in session_ids]:
            await _delete(context, session_id)
            output.line(f"{session_id} is deleted.")

    run(work)


@app.command()
def prune(older_than: Days = 30, dry_run: DryRun = False, json: Json = False) -> None:
    """Delete your sessions that ended long ago (stopped, finished or failed), with their logs."""

    async def work(context: Context) -> list[Session]:
        before = datetime.now(UTC) - timedelta(days=older_than)
        old = [session async for session in _ended(context) if session.updated_at < before]
        for session in old if not dry_run else ():
            await _delete(context, session.id)
        return old

    old = run(work)
    session_view.print_sessions(old, json, none=f"No session ended {older_than} days ago or earlier.")
    output.note(f"{len(old)} sessions {'would be' if dry_run else 'are'} deleted.")


async def _delete(context: Context, session_id: UUID) -> None:
    await context.sim.delete(context.user, session_id, context.recording("session.delete"))


async def _ended(context: Context) -> AsyncIterator[Session]:
    """Yield every session of the user that has ended."""
    for status in ENDED:
        cursor: str | None = None
        more = True
        while more:
            page, cursor = await context.database.run(
                sessions.page, context.user, status=status, limit=_PAGE, cursor=cursor
            )
            for session in page:
                yield session
            more = cursor is not None


def _control(session_id: str, json: bool, **arguments: Any) -> None:
    """Send a control action, with the same checks as over HTTP."""
    with as_usage():
        request = parse(ControlRequest, without_none(**arguments))
    _act(session_id, request.to_action(), json)


def _act(session_id: str, action: Action, json: bool) -> None:
    async def work(context: Context) -> Session:
        return await context.sim.act(context.user, await context.session_id(session_id), action)

    session_view.print_session(run(work), json)
