"""`zeon report`: the results of a session as a table, as JSON, or as one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from app.cli import output
from app.cli.options import Json, SessionId, create
from app.cli.report import figures
from app.cli.report.failure import failure_lines
from app.cli.report.session_page import read_page
from app.cli.run import Context, run
from app.cli.sessions.session_view import market
from app.db.log import stats
from app.domain.session import Session
from app.web.sim.stats import stats_json

Html = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write one page with charts, figures and trades; it works offline."),
]


class Outcome(NamedTuple):
    """A session with its results, and its page if one is wanted."""

    session: Session
    stats: stats.Stats
    page: str | None


def report(session_id: SessionId, html: Html = None, json: Json = False) -> None:
    """Show the results of a session: return, risk and trades, also while it runs."""

    async def work(context: Context) -> Outcome:
        session = await context.sim.get(context.user, await context.session_id(session_id))
        return await read_outcome(context, session, with_page=html is not None)

    outcome = run(work)
    if json:
        output.line(stats_json(outcome.stats))
    elif html is None:
        print_report(outcome.session, outcome.stats.figures)
    write_page(html, outcome.page)


async def read_outcome(context: Context, session: Session, *, with_page: bool) -> Outcome:
    """Read the results of a session, and its page if one is wanted."""
    found = await context.database.run(stats.stats, session.id)
    page = None
    if with_page:
        page = await context.database.run(read_page, session, found.figures)
    return Outcome(session, found, page)


def print_title(session: Session) -> None:
    """Print a line that names a session and, if it failed, why and where."""
    output.line(title(session))
    for line in failure_lines(session.error, session.error_details)[1:]:
        output.line(line)


def print_report(session: Session, found: dict[str, Any]) -> None:
    """Print a session's figures, and why it failed if it did."""
    print_title(session)
    output.table(("figure", "value"), figures.lines(found), right=("value",))


def write_page(path: Path | None, page: str | None) -> None:
    """Write a page to a file, if there is one."""
    if path is not None and page is not None:
        with create(path) as file:
            file.write(page.encode())
        output.note(f"The report is written to {path}.")


def title(session: Session) -> str:
    """Return a line that names a session, and its error if it failed."""
    name_line = f"{session.spec.profile_slug} on {market(session)}, {session.status}"
    return name_line if session.error is None else f"{name_line}: {session.error}"
