"""`zeon rank`: rank the sessions of a tag, and finish an interrupted sweep."""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

import typer

from app.cli import output
from app.cli.options import Json
from app.cli.research import ranking
from app.cli.research.run_many import Processes, run_all
from app.cli.run import Context, locate, run_on
from app.db.log import results
from app.domain.session import CREATED, PAUSED
from app.errors import NotFoundError
from app.settings import load

Tag = Annotated[
    str, typer.Argument(metavar="TAG", help="Tag of the sessions, for example of a sweep.", show_default=False)
]
MinTrades = Annotated[int, typer.Option(metavar="N", min=0, help="Leave out sessions with fewer trades.")]
Resume = Annotated[bool, typer.Option("--resume", help="First run paused and unstarted sessions to completion.")]


def rank(
    tag: Tag,
    by: ranking.By = "return",
    min_trades: MinTrades = 0,
    resume: Resume = False,
    processes: Processes = None,
    json: Json = False,
) -> None:
    """Rank the sessions of a tag, for example of a sweep; with --resume finish an interrupted sweep first."""
    settings = load()

    async def work(context: Context) -> dict[UUID, str]:
        return await context.database.run(results.list_tagged, context.user, tag)

    with locate(settings) as location:
        statuses = asyncio.run(run_on(settings, location, work))
        if not statuses:
            raise NotFoundError(f"There is no session with the tag {tag}.")
        waiting = [session_id for session_id, status in statuses.items() if status in (CREATED, PAUSED)]
        interrupted = resume and bool(waiting) and run_all(settings, location, waiting, processes)
        outcomes = asyncio.run(
            run_on(settings, location, lambda context: context.database.run(results.results, list(statuses)))
        )
    rank_results = ranking.rank_results([result for result in outcomes if result.trades >= min_trades], by)
    if json:
        output.as_json({"tag": tag, "results": ranking.ranking_to_json(rank_results)})
    else:
        ranking.print_ranking(rank_results)
    if interrupted:
        output.note("Interrupted: the sessions that ran are paused again.")
    if resume and any(result.status in (CREATED, PAUSED) for result in outcomes):
        raise typer.Exit(1)
