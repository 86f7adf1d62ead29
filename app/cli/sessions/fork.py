"""`zeon sessions fork` and `zeon diff`: leave another session's log, and see where two logs part."""

from __future__ import annotations

import json as json_text
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import typer

from app.cli import output
from app.cli.command import Context, run
from app.cli.options import Json, MsPerCandle, SessionId, Speed, as_usage, without_none
from app.cli.sessions import session_view
from app.cli.sessions import trading_options as trade
from app.cli.sessions.create import Name, Tags
from app.domain.number import format_decimal
from app.domain.session import Session
from app.web.http.parsing import parse
from app.web.sim.diff import DiffAnswer, DiffSide, SettingDiff
from app.web.sim.requests import ForkRequest

AtSeq = Annotated[int, typer.Option("--at-seq", metavar="SEQ", help="Last event to share, moved to its tick's end.")]
Profile = Annotated[str | None, typer.Option(metavar="SLUG", help="Another strategy; its parameters begin empty.")]
Other = Annotated[UUID, typer.Argument(metavar="OTHER", help="The other session's id.", show_default=False)]


def fork(
    session_id: SessionId,
    at_seq: AtSeq,
    profile: Profile = None,
    config: trade.Config = None,
    fee_bps: trade.Fee = None,
    maker_fee_bps: trade.MakerFee = None,
    taker_fee_bps: trade.TakerFee = None,
    slippage_bps: trade.Slippage = None,
    leverage: trade.Leverage = None,
    fill: trade.Fill = None,
    limit_fill: trade.LimitFill = None,
    sizing: trade.SizingText = None,
    volume_share: trade.VolumeShare = None,
    ms_per_candle: MsPerCandle = None,
    speed: Speed = None,
    name: Name = None,
    tag: Tags = None,
    json: Json = False,
) -> None:
    """Make a session that shares another one's log up to a seq; what is not given stays as it is."""
    terms = trade.terms(
        fee_bps=fee_bps,
        maker_fee_bps=maker_fee_bps,
        taker_fee_bps=taker_fee_bps,
        slippage_bps=slippage_bps,
        leverage=leverage,
        fill=fill,
        limit_fill=limit_fill,
        sizing=sizing,
        volume_share=volume_share,
    )
    asked = terms | without_none(
        atSeq=at_seq,
        profileSlug=profile,
        config=trade.parsed("config", config),
        replayMsPerCandle=ms_per_candle,
        speed=speed,
        name=name,
        tags=tag,
    )
    with as_usage():
        wanted = parse(ForkRequest, asked)

    async def work(context: Context) -> Session:
        return await context.sim.fork(context.user, session_id, wanted.at_seq, wanted.change)

    with as_usage():
        session = run(work)
    session_view.print_session(session, json)


def diff(session_id: SessionId, other: Other, json: Json = False) -> None:
    """Show where two sessions part, what they were asked for differently, and how their results differ."""

    async def work(context: Context) -> DiffAnswer:
        return DiffAnswer.of(await context.sim.diff(context.user, session_id, other))

    found = run(work)
    if json:
        output.as_json(found.model_dump(mode="json", by_alias=True))
        return
    place = "nowhere" if found.place is None else f"at simulated event {found.place:,}"
    output.line(f"The logs differ {place}.")
    output.table(("", "a", "b"), [*_facts(found.a, found.b), *_spelled(found.settings)])
    results = [(name, *map(_number, (each.a, each.b, each.difference))) for name, each in found.results.items()]
    output.line("")
    output.table(
        ("result", "a", "b", "difference"), [row for row in results if any(row[1:])], right=("a", "b", "difference")
    )


def _facts(a: DiffSide, b: DiffSide) -> list[tuple[str, object, object]]:
    """Return what the sessions are and what stands where they part."""
    facts: list[tuple[str, object, object]] = [
        ("id", a.session_id, b.session_id),
        ("status", a.status, b.status),
        ("last seq", a.last_seq, b.last_seq),
        ("seq there", a.seq, b.seq),
        ("event there", _json(a.event), _json(b.event)),
    ]
    return [fact for fact in facts if any(value not in (None, "") for value in fact[1:])]


def _spelled(settings: dict[str, SettingDiff]) -> list[tuple[str, object, object]]:
    return [(name, _json(each.a), _json(each.b)) for name, each in settings.items()]


def _number(value: Decimal | None) -> str:
    return "" if value is None else format_decimal(value)


def _json(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json_text.dumps(value, ensure_ascii=False)
