"""`zeon sweep`: run one strategy with many parameters, each in its own session, on all cores."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, NamedTuple
from uuid import UUID, uuid4

import typer

from app.cli import output
from app.cli.candles.candle_slots import cached_slots
from app.cli.options import Json, as_usage
from app.cli.report.failure import WROTE_NOTHING
from app.cli.research import ranking
from app.cli.research.param_grid import parse_grid
from app.cli.research.run_many import Processes, run_all
from app.cli.research.strategy_arg import resolve_strategy
from app.cli.run import Context, locate, run_on
from app.cli.sessions.setting_options import NEW_SESSION, Given, takes_settings
from app.db.log import results
from app.db.setup.location import DatabaseLocation
from app.db.usage import Usage
from app.domain.session import FINISHED, SessionSpec
from app.domain.tick import ReplayState, Slot, draft_tick
from app.engine.replay.quota import quota, require_quota
from app.errors import StrategyFailedError, StrategyProcessLostError
from app.settings import Settings, load
from app.strategy_hosts.strategy_host import run_strategies
from app.web.http.parsing import parse
from app.web.sim.requests import NewSession

Profile = Annotated[
    str, typer.Argument(metavar="PROFILE", help="The strategy, see `zeon profiles`.", show_default=False)
]
Params = Annotated[
    list[str], typer.Option("--param", metavar="NAME=VALUES", help="fast=5..50:5, or side=long,both; repeat for more.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Start a large sweep without asking.")]

_CONFIRM_ABOVE_BYTES = 5 * 10**9
_SAMPLES = 3
_SAMPLE_SLOTS = 5000
_ROW_BYTES = 180
"""Bytes of a row of the log and its index entries, without the payload."""
_ROWS_WITHOUT_CANDLES = 3
"""Rows of a session without any candle: started, finished, and one more."""


_OPTIONS = NEW_SESSION - {"profile_slug", "record", "replay_ms_per_candle", "speed", "name", "tags", "lag_ms"}


class Size(NamedTuple):
    """An estimate of what a sweep writes."""

    rows: int
    bytes: int


@takes_settings(_OPTIONS, required=["symbols", "timeframe", "start_ms", "end_ms"])
def sweep(
    given: Given,
    profile: Profile,
    param: Params,
    by: ranking.By = "return",
    processes: Processes = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Run a strategy with every combination of parameters, each as its own session, and rank the results."""
    slug, settings = resolve_strategy(profile, load())
    tag = f"sweep-{uuid4().hex[:8]}"
    config = given.get("config", {})
    request = given | {"profileSlug": slug, "record": "trades", "replayMsPerCandle": 0, "tags": [tag]}
    with as_usage():
        combinations = parse_grid(param)
        specs = [
            parse(NewSession, request | {"config": {**config, **combination}, "name": _session_name(combination)}).spec(
                settings
            )
            for combination in combinations
        ]
    with locate(settings, set_up=True) as location:
        size = _print_estimate(settings, location, specs, yes=yes)
        ids = asyncio.run(run_on(settings, location, lambda context: _create(context, specs)))
        output.note(f"The sessions have the tag {tag}: zeon sessions list --tag {tag}")
        interrupted = run_all(settings, location, ids, processes)
        outcomes = asyncio.run(run_on(settings, location, lambda context: context.database.run(results.results, ids)))
        silent = asyncio.run(
            run_on(settings, location, lambda context: context.database.run(results.wrote_nothing, ids))
        )
    ranked = ranking.rank_results(outcomes, by)
    if json:
        output.as_json({"tag": tag, "rows": size.rows, "bytes": size.bytes, "results": ranking.ranking_to_json(ranked)})
    else:
        ranking.print_ranking(ranked)
    if interrupted:
        output.note(f"Interrupted: the sessions that ran are paused; `zeon rank {tag} --resume` finishes the sweep.")
    if silent and not interrupted:
        output.note(WROTE_NOTHING)
    if any(outcome.status != FINISHED for outcome in outcomes):
        raise typer.Exit(1)


def _print_estimate(settings: Settings, location: DatabaseLocation, specs: list[SessionSpec], *, yes: bool) -> Size:
    """Print how much the sweep will write, and ask for confirmation if it is a lot."""
    with as_usage():
        size = asyncio.run(run_on(settings, location, lambda context: _estimate(context, settings, specs)))
    output.note(f"{len(specs):,} sessions, about {size.rows:,} rows and {size.bytes / 1e6:,.0f} MB.")
    if size.bytes > _CONFIRM_ABOVE_BYTES and not yes:
        typer.confirm("Continue?", abort=True, err=True)
    return size


async def _estimate(context: Context, settings: Settings, specs: list[SessionSpec]) -> Size:
    """Estimate the size: run a few of the sessions over their first candles, without storing anything.

    Completes the config of each spec in `specs`. A strategy that fails counts as writing nothing. Raises
    `BadInputError` for wrong parameters, and `QuotaError` if the user may not keep as much.
    """
    strategies = context.sim.strategies
    specs[:] = [await strategies.completed(context.database, spec) for spec in specs]
    slots = await context.database.run(cached_slots, specs[0], _SAMPLE_SLOTS)
    samples = specs[:: max(1, len(specs) // _SAMPLES)][:_SAMPLES]
    sizes = [await _run_sample(context, spec, slots) for spec in samples]
    end_ms = specs[0].end_ms or specs[0].start_ms
    factor = len(specs) * specs[0].grid.slots(specs[0].start_ms, end_ms) / len(slots) / len(samples)
    rows = int(sum(size.rows for size in sizes) * factor) + _ROWS_WITHOUT_CANDLES * len(specs)
    size = Size(rows, int(sum(size.bytes for size in sizes) * factor) + rows * _ROW_BYTES)
    await context.database.run(require_quota, quota(settings), context.user, Usage(len(specs), *size))
    return size


async def _run_sample(context: Context, spec: SessionSpec, slots: Sequence[Slot]) -> Size:
    state = ReplayState.initial(replace(spec, gap_policy="skip"))
    try:
        async with context.sim.strategies.open_trial_host(context.database, spec) as host:
            answered = await run_strategies(state, host, [draft_tick(state, slot) for slot in slots])
    except (StrategyFailedError, StrategyProcessLostError):  # Its session will report the error.
        return Size(0, 0)
    all_events = [event for events in answered for event in events]
    return Size(len(all_events), sum(len(event.body) for event in all_events))


async def _create(context: Context, specs: Sequence[SessionSpec]) -> list[UUID]:
    return [(await context.sim.create(context.user, spec))[0].id for spec in specs]


def _session_name(config: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in config.items())[:200]
