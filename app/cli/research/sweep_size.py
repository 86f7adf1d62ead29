"""Estimate what a sweep writes, by running a few of its sessions over their first candles."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import typer

from app.cli import output
from app.cli.candles.candle_slots import cached_slots
from app.cli.research.walk_forward import Window
from app.cli.run import Context, run_on
from app.db.setup.location import DatabaseLocation
from app.db.usage import Usage
from app.domain.session import SessionSpec
from app.domain.tick import ReplayState, Slot, draft_tick
from app.engine.replay.quota import quota, require_quota
from app.errors import StrategyFailedError, StrategyProcessLostError
from app.settings import Settings
from app.strategy_hosts.strategy_host import run_strategies

_CONFIRM_ABOVE_BYTES = 5 * 10**9
_SAMPLE_SLOTS = 5000
_ROW_BYTES = 180
"""Bytes of a row of the log and its index entries, without the payload."""
_ROWS_WITHOUT_CANDLES = 3
"""Rows of a session without any candle: started, finished, and one more."""


class Plan(NamedTuple):
    """What a sweep runs: some of its sessions as samples, how many trials, and the windows of a walk-forward."""

    samples: list[SessionSpec]
    trials: int
    windows: list[Window]
    lengths: tuple[int, int] | None

    @property
    def sessions(self) -> int:
        """How many sessions it makes."""
        return self.trials if not self.windows else len(self.windows) * (self.trials + 1)

    @property
    def slots(self) -> int:
        """How many slots all sessions have together."""
        spec = self.samples[0]
        if not self.windows:
            return self.trials * spec.grid.slots(spec.start_ms, spec.end_ms or spec.start_ms)
        fitted = (spec.grid.slots(window.fit_from_ms, window.fit_to_ms) for window in self.windows)
        judged = (spec.grid.slots(window.fit_to_ms, window.judge_to_ms) for window in self.windows)
        return self.trials * sum(fitted) + sum(judged)


class Size(NamedTuple):
    """An estimate of what a sweep writes."""

    rows: int
    bytes: int


def print_estimate(settings: Settings, location: DatabaseLocation, plan: Plan, *, yes: bool) -> Size:
    """Print how much the sweep will write, and ask for confirmation if it is a lot."""
    size = asyncio.run(run_on(settings, location, lambda context: _estimate(context, settings, plan)))
    output.note(f"{plan.sessions:,} sessions, about {size.rows:,} rows and {size.bytes / 1e6:,.0f} MB.")
    if size.bytes > _CONFIRM_ABOVE_BYTES and not yes:
        typer.confirm("Continue?", abort=True, err=True)
    return size


async def _estimate(context: Context, settings: Settings, plan: Plan) -> Size:
    """Estimate the size; a strategy that fails counts as writing nothing.

    Raises `BadInputError` for wrong parameters, and `QuotaError` if the user may not keep as much.
    """
    strategies = context.sim.strategies
    samples = [await strategies.completed(context.database, spec) for spec in plan.samples]
    slots = await context.database.run(cached_slots, samples[0], _SAMPLE_SLOTS)
    sizes = [await _run_sample(context, spec, slots) for spec in samples]
    factor = plan.slots / len(slots) / len(samples)
    rows = int(sum(size.rows for size in sizes) * factor) + _ROWS_WITHOUT_CANDLES * plan.sessions
    size = Size(rows, int(sum(size.bytes for size in sizes) * factor) + rows * _ROW_BYTES)
    await context.database.run(require_quota, quota(settings), context.user, Usage(plan.sessions, *size))
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
