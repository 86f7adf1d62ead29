"""`zeon lookahead`: check whether a strategy uses later candles."""

from __future__ import annotations

import json as json_text
from dataclasses import replace
from typing import Annotated, Any

import typer

from app.cli import output
from app.cli.candles.candle_slots import cached_slots, cached_warmup
from app.cli.options import Json, as_usage
from app.cli.report.failure import WROTE_NOTHING
from app.cli.research.strategy_arg import resolve_strategy
from app.cli.run import Context, run
from app.cli.sessions.setting_options import Given, takes_settings
from app.domain.event import STRATEGY_WRITES, Event
from app.domain.session import SessionSpec
from app.domain.tick import Slot
from app.engine.lookahead import LookaheadFinding, check_lookahead, cut_positions
from app.errors import BadInputError
from app.settings import load
from app.web.http.parsing import parse
from app.web.sim.requests import NewSession

Profile = Annotated[
    str, typer.Argument(metavar="PROFILE", help="The strategy, see `zeon profiles`.", show_default=False)
]
_OPTIONS = ("symbols", "timeframe", "start_ms", "end_ms", "venue", "config", "extra_timeframes", "warmup_candles")
Cuts = Annotated[
    int, typer.Option(metavar="N", min=1, max=1000, help="Number of cuts: times after which all candles are replaced.")
]


@takes_settings(_OPTIONS, required=["symbols", "timeframe"])
def lookahead(given: Given, profile: Profile, cuts: Cuts = 10, json: Json = False) -> None:
    """Check that later candles do not change a strategy's earlier events; exit with 1 if they do."""
    slug, settings = resolve_strategy(profile, load())
    with as_usage():
        request = parse(NewSession, {"startMs": 0} | given | {"profileSlug": slug, "gapPolicy": "skip"})

    written: set[str] = set()

    async def work(context: Context) -> tuple[int, LookaheadFinding | None]:
        return await _check(context, request.spec(context.settings), cuts, written)

    with as_usage():
        count, finding = run(work, settings)
    cuts = len(cut_positions(count, cuts))
    if json:
        output.as_json(
            {"slots": count, "cuts": cuts, "lookahead": finding is not None, "difference": _finding_to_json(finding)}
        )
    else:
        _print_finding(count, cuts, finding)
    if not written & STRATEGY_WRITES:
        output.note(WROTE_NOTHING)
    if finding is not None:
        raise typer.Exit(1)


async def _check(
    context: Context, spec: SessionSpec, cuts: int, written: set[str]
) -> tuple[int, LookaheadFinding | None]:
    strategies = context.sim.strategies
    whole = await strategies.completed(context.database, spec)
    slots = await context.database.run(cached_slots, whole)
    if not whole.start_ms:
        whole, slots = _after_warmup(whole, slots)
    if len(slots) < 2:
        raise BadInputError("end: the range holds only one candle; give a range with at least two")
    warmup = await context.database.run(cached_warmup, whole)
    return len(slots), await check_lookahead(
        whole, slots, lambda _: strategies.open_trial_host(context.database, whole, warmup), cuts, written
    )


def _after_warmup(spec: SessionSpec, slots: list[Slot]) -> tuple[SessionSpec, list[Slot]]:
    """Return a range without a start, and its slots, behind the first candles, which become the warm-up."""
    count = spec.warmup_candles
    if len(slots) < count + 2:
        raise BadInputError(f"warmupCandles: the range holds {len(slots)} candles, not {count + 2}")
    return replace(spec, start_ms=slots[count].open_time_ms), slots[count:]


def _print_finding(count: int, cuts: int, finding: LookaheadFinding | None) -> None:
    if finding is None:
        output.line(f"No lookahead: {count:,} slots, with the candles replaced after each of {cuts} times.")
        return
    output.line(f"Events before {output.utc(finding.cut_ms)} depend on later candles ({finding.how}).")
    if finding.error is not None:
        output.line(f"The strategy fails there: {finding.error}")
    for name, event in (("whole", finding.whole), (finding.how, finding.changed)):
        output.line(f"{name}: {json_text.dumps(_event_to_json(event), ensure_ascii=False)}")


def _finding_to_json(finding: LookaheadFinding | None) -> dict[str, Any] | None:
    if finding is None:
        return None
    whole, changed = _event_to_json(finding.whole), _event_to_json(finding.changed)
    value = {"how": finding.how, "cutMs": finding.cut_ms, "whole": whole, "changed": changed}
    return value if finding.error is None else {**value, "fault": finding.error}


def _event_to_json(event: Event | None) -> dict[str, Any] | None:
    return None if event is None else {"ts": event.ts, "type": event.type, "payload": json_text.loads(event.body)}
