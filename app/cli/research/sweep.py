"""`zeon sweep`: run one strategy with many parameters, each in its own session, on all cores."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from uuid import uuid4

import typer

from app.cli import output
from app.cli.options import Json, as_usage, create
from app.cli.report.failure import WROTE_NOTHING
from app.cli.research import overfitting, ranking, sweep_page
from app.cli.research import walk_forward as walking
from app.cli.research.param_grid import Axis, combinations, parse_axes
from app.cli.research.run_many import Processes
from app.cli.research.search import require_optuna
from app.cli.research.search import search as search_parameters
from app.cli.research.strategy_arg import resolve_strategy
from app.cli.research.sweep_runs import InterruptedSweepError, SweepRuns
from app.cli.research.sweep_size import Plan, print_estimate
from app.cli.run import Context, locate, run_on
from app.cli.sessions.setting_options import NEW_SESSION, Given, takes_settings
from app.db.log import results, stats
from app.db.log.results import SessionResult
from app.domain.session import FINISHED, SessionSpec
from app.settings import load
from app.web.http.parsing import parse
from app.web.sim.requests import NewSession

Profile = Annotated[
    str, typer.Argument(metavar="PROFILE", help="The strategy, see `zeon profiles`.", show_default=False)
]
Params = Annotated[
    list[str] | None,
    typer.Option("--param", metavar="NAME=VALUES", help="fast=5..50:5, or side=long,both; repeat for more."),
]
Search = Annotated[
    int | None,
    typer.Option("--search", metavar="N", min=1, help="Try N combinations, chosen by Optuna, instead of all."),
]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the search: the same one chooses the same.")]
WalkForward = Annotated[
    str | None,
    typer.Option(metavar="FIT/JUDGE", help="Choose on the first length, judge on the next, then move on: 90d/30d."),
]
Study = Annotated[
    str | None,
    typer.Option(metavar="TAG", help="Tag of the sessions; with that of an interrupted sweep, it goes on."),
]
Html = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write a page with the results and a heat map.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Start a large sweep without asking.")]

_OPTIONS = NEW_SESSION - {"profile_slug", "record", "replay_ms_per_candle", "speed", "name", "tags", "lag_ms"}
_TAG = re.compile(r"[a-z0-9_-]{1,40}")
_CURVES = 2000
"""Of at most so many runs the equity is read, to say how much of the best is luck."""


class Task(NamedTuple):
    """What to run: the parameters to choose among, how many trials and by which figure; all combinations if null."""

    axes: list[Axis]
    trials: int | None
    seed: int
    by: str


class Outcome(NamedTuple):
    """The ranked results of a sweep, or the windows of a walk-forward, and what they are worth in words."""

    ranked: list[SessionResult]
    windows: list[walking.Judged]
    deflated: overfitting.Deflated | None
    words: str


@takes_settings(_OPTIONS, required=["symbols", "timeframe", "start_ms", "end_ms"])
def sweep(
    given: Given,
    profile: Profile,
    param: Params = None,
    by: ranking.By = "return",
    search: Search = None,
    seed: Seed = 0,
    walk_forward: WalkForward = None,
    study: Study = None,
    html: Html = None,
    processes: Processes = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Run a strategy with every combination of parameters, or a search among them, and rank the results.

    Each run is a session. With --walk-forward parameters are chosen on one stretch and judged on the next.
    """
    slug, settings = resolve_strategy(profile, load())
    tag = study or f"sweep-{uuid4().hex[:8]}"
    base = given | {"profileSlug": slug, "record": "trades", "replayMsPerCandle": 0, "tags": [tag]}
    if search is not None:
        require_optuna()

    def make_spec(changes: dict[str, Any]) -> SessionSpec:
        config = {**given.get("config", {}), **changes.get("config", {})}
        return parse(NewSession, base | changes | {"config": config}).spec(settings)

    with as_usage():
        if not _TAG.fullmatch(tag):
            raise typer.BadParameter("--study: use a-z, 0-9, _ and -, at most 40 characters")
        task = Task(parse_axes(param or []), search, seed, by)
        plan = _plan(task, make_spec, walk_forward)
    with locate(settings, set_up=True) as location:
        with as_usage():
            size = print_estimate(settings, location, plan, yes=yes)
        output.note(f"The sessions have the tag {tag}: zeon sessions list --tag {tag}")
        runs = SweepRuns(settings, location, tag, make_spec, processes)
        interrupted = False
        try:
            outcome = _run_plan(runs, task, plan)
        except InterruptedSweepError:
            interrupted = True
            outcome = Outcome(ranking.rank_results(runs.read(runs.ids), by), [], None, "")
        if not plan.windows and not interrupted:
            cash = float(plan.samples[0].trading.initial_cash)
            read = asyncio.run(run_on(settings, location, lambda context: _read_curves(context, outcome.ranked)))
            deflated = overfitting.deflated_of(read, cash)
            outcome = outcome._replace(deflated=deflated, words=overfitting.sentence(deflated))
        silent = asyncio.run(
            run_on(settings, location, lambda context: context.database.run(results.wrote_nothing, runs.ids))
        )
    if json:
        output.as_json({"tag": tag, "rows": size.rows, "bytes": size.bytes, **_to_json(outcome)})
    else:
        _print(outcome)
    if html is not None:
        _write_page(html, f"{slug}, {tag}", outcome, task)
    if interrupted:
        output.note(f"Interrupted: the same command with --study {tag} goes on, or `zeon rank {tag} --resume`.")
    if silent and not interrupted:
        output.note(WROTE_NOTHING)
    if any(result.status != FINISHED for result in outcome.ranked):
        raise typer.Exit(1)


def _plan(task: Task, make_spec: Callable[[dict[str, Any]], SessionSpec], lengths: str | None) -> Plan:
    """Return what will be run; raises `BadInputError`."""
    whole = make_spec({})
    windows: list[walking.Window] = []
    parsed = None
    if lengths is not None:
        parsed = walking.parse_lengths(lengths)
        windows = walking.windows(whole.start_ms, whole.end_ms or whole.start_ms, parsed)
    if task.trials is None:
        grid = combinations(task.axes)
        trials, samples = len(grid), [grid[0], grid[len(grid) // 2], grid[-1]]
    else:
        trials = task.trials
        samples = [{axis.name: axis.values[place] for axis in task.axes} for place in (0, -1)]
    return Plan([make_spec({"config": config}) for config in samples], trials, windows, parsed)


def _run_plan(runs: SweepRuns, task: Task, plan: Plan) -> Outcome:
    if not plan.windows:
        found = _fit(runs, task, "fit", {})
        return Outcome(ranking.rank_results(found, task.by), [], None, "")
    rows = [_judge(runs, task, number, window) for number, window in enumerate(plan.windows)]
    ranked = [result for row in rows for result in (row.fitted, row.judged) if result is not None]
    assert plan.lengths is not None
    return Outcome(ranked, rows, None, walking.sentence(rows, plan.lengths))


def _judge(runs: SweepRuns, task: Task, number: int, window: walking.Window) -> walking.Judged:
    """Choose parameters in a window, then run the best on the stretch after it."""
    fit = {"startMs": window.fit_from_ms, "endMs": window.fit_to_ms}
    best = ranking.rank_results(_fit(runs, task, f"{number}-fit", fit), task.by)[0]
    judge = {"startMs": window.fit_to_ms, "endMs": window.judge_to_ms}
    judged = runs.results(f"{number}-judge", [judge | {"config": best.config, "name": f"judged {number}"}])
    names = [axis.name for axis in task.axes]
    return walking.Judged(window, {name: best.config[name] for name in names}, best, judged[0] if judged else None)


def _fit(runs: SweepRuns, task: Task, place: str, range_: dict[str, int]) -> list[SessionResult]:
    """Run all combinations, or those that a search chooses, over a range; return the results in that order."""
    requests = [range_ | {"config": config, "name": _session_name(config)} for config in _all(task)]
    if task.trials is None:
        return runs.results(place, requests)
    found: list[SessionResult] = []

    def evaluate(chosen: list[dict[str, Any]]) -> list[float | None]:
        batch = [range_ | {"config": config, "name": _session_name(config)} for config in chosen]
        results = runs.results(f"{place}-{len(found)}", batch)
        found.extend(results)
        return [ranking.figure(result, task.by) for result in results]

    search_parameters(task.axes, task.trials, task.seed, evaluate)
    return found


def _all(task: Task) -> list[dict[str, Any]]:
    return combinations(task.axes) if task.trials is None else []


async def _read_curves(context: Context, ranked: Sequence[SessionResult]) -> list[list[tuple[int, float]]]:
    """Return (ts, equity) of each run that has finished, the best `_CURVES`."""
    curves = []
    for result in ranked[:_CURVES]:
        if result.status == FINISHED:
            points = await context.database.run(stats.equity, result.id, 5000)
            curves.append([(point.ts, float(point.equity)) for point in points])
    return curves


def _write_page(path: Path, title: str, outcome: Outcome, task: Task) -> None:
    page = sweep_page.page(title, outcome.words, outcome.ranked, outcome.windows, task.axes, task.by)
    with create(path) as file:
        file.write(page.encode())
    output.note(f"The page is written to {path}.")


def _print(outcome: Outcome) -> None:
    if outcome.windows:
        walking.print_table(outcome.windows)
    else:
        ranking.print_ranking(outcome.ranked)
        if outcome.ranked and not any(result.trades for result in outcome.ranked):
            output.note("No run closed a trade.")
    if outcome.words:
        output.line("")
        output.line(outcome.words)


def _to_json(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as JSON values; Sharpe ratios of the best run are those of a day."""
    deflated = None if outcome.deflated is None else outcome.deflated._asdict()
    found = {"overfitting": {"text": outcome.words, "deflatedSharpe": deflated and _camel(deflated)}}
    if outcome.windows:
        return {"windows": walking.to_json(outcome.windows), "summary": walking.summary(outcome.windows), **found}
    return {"results": ranking.ranking_to_json(outcome.ranked), **found}


def _camel(deflated: dict[str, Any]) -> dict[str, Any]:
    return {"byLuck" if name == "by_luck" else name: value for name, value in deflated.items()}


def _session_name(config: dict[str, Any]) -> str | None:
    return " ".join(f"{name}={value}" for name, value in config.items())[:200] or None
