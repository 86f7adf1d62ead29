"""`zeon backtest`: one command from a strategy and cached candles to a report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli import output
from app.cli.options import Json, as_usage
from app.cli.report.backtest import BacktestOutcome, Progress, run_backtest
from app.cli.report.failure import WROTE_NOTHING, failure_lines, location_lines
from app.cli.research.report import print_report, print_title, write_page
from app.cli.run import locate
from app.cli.sessions.session_view import session_to_json
from app.cli.sessions.setting_options import NEW_SESSION, Given, parse_param, takes_settings
from app.domain.session import FINISHED, Session
from app.engine import garbage_collection
from app.errors import StrategyFailedError
from app.settings import load
from app.strategy_hosts.local_strategy import LocalStrategy, find_local
from app.web.sim.stats import stats_json

Profile = Annotated[
    str,
    typer.Argument(
        metavar="PROFILE",
        help="FILE.py, FILE.py:Class, a folder, module:Class, or a name that `zeon profiles` lists.",
        show_default=False,
    ),
]
Params = Annotated[
    list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="A parameter, as in fast=10; repeat for more.")
]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write the report as one page to FILE.")]
Discard = Annotated[bool, typer.Option("--discard", help="Delete the session after the report.")]
_OPTIONS = NEW_SESSION - {"profile_slug", "replay_ms_per_candle", "speed", "lag_ms", "gap_grace_ms"}


@takes_settings(_OPTIONS, required=["symbols", "start_ms", "end_ms"], defaults={"timeframe": "1h"})
def backtest(
    given: Given,
    profile: Profile,
    param: Params = None,
    html: Html = None,
    discard: Discard = False,
    json: Json = False,
) -> None:
    """Run a strategy over cached candles and report its results; the session stays for report, compare and the page."""
    garbage_collection.tune_gc()
    settings = load()
    with as_usage():
        local = _local(profile)
        slug = profile if local is None else local.slug
        config = given.get("config", {}) | dict(parse_param(text) for text in param or ())
        request = given | {"profileSlug": slug, "config": config}
        with locate(settings, set_up=True) as location, _progress() as on_progress:
            outcome = run_backtest(
                settings, location, request, local, on_progress=on_progress, with_page=html is not None, discard=discard
            )
    _print(outcome, html, discard=discard, json=json)
    if outcome.session.status != FINISHED:
        raise typer.Exit(1)


def _local(profile: str) -> LocalStrategy | None:
    """Return the strategy if it is in a file; one that cannot be imported is printed with its line, exit code 1."""
    try:
        return find_local(profile)
    except StrategyFailedError as error:
        for line in (error.message, *location_lines(error.details)):
            output.note(line)
        raise typer.Exit(1) from None


def _print(outcome: BacktestOutcome, html: Path | None, *, discard: bool, json: bool) -> None:
    session = outcome.session
    if json:
        answer = output.raw_json(session_to_json(session)), stats_json(outcome.stats)
        output.line(f'{{"session":{answer[0]},"stats":{answer[1]}}}')
    elif session.error is not None:
        print_title(session)
    else:
        print_report(session, outcome.figures)
    write_page(html, outcome.page)
    if session.error is not None and json:
        for line in failure_lines(session.error, session.error_details):
            output.note(line)
    elif session.error is None and outcome.wrote_nothing:
        output.note(WROTE_NOTHING)
    if not discard:
        output.note(f"The session stays: zeon report {session.id}, zeon sessions delete {session.id}")


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """Show on a terminal how much of the range is done."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with Bar(console=console, transient=True) as bar:
        task = bar.add_task("candles", total=None)

        def show(session: Session) -> None:
            done: dict[str, Any] = session.progress() or {}
            bar.update(task, completed=done.get("done", 0), total=done.get("total"))

        yield show
