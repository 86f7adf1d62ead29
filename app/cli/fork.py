"""`zeon sessions fork` and `zeon diff`: leave another session's log, and see where two logs part."""

from __future__ import annotations

import json as json_text
from typing import Annotated
from uuid import UUID

import typer

from app.cli import session_view, show
from app.cli import term_options as trade
from app.cli.context import Context, run
from app.cli.new_session import Name, Tags
from app.cli.options import Json, MsPerCandle, SessionId, Speed, as_usage, given
from app.domain.session import Session
from app.web.inputs import checked
from app.web.models import Fork
from app.web.replies import DiffAnswer

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
    asked = terms | given(
        atSeq=at_seq,
        profileSlug=profile,
        config=trade.parsed("config", config),
        replayMsPerCandle=ms_per_candle,
        speed=speed,
        name=name,
        tags=tag,
    )
    with as_usage():
        wanted = checked(Fork, asked)

    async def work(context: Context) -> Session:
        return await context.sim.fork(context.user, session_id, wanted.at_seq, wanted.change)

    with as_usage():
        session = run(work)
    session_view.tell(session, json)


def diff(session_id: SessionId, other: Other, json: Json = False) -> None:
    """Show the first place at which what two sessions simulated differs."""

    async def work(context: Context) -> DiffAnswer:
        return DiffAnswer.of(*await context.sim.diff(context.user, session_id, other))

    found = run(work)
    if json:
        show.as_json(found.model_dump(mode="json", by_alias=True))
        return
    place = "nowhere" if found.place is None else f"at simulated event {found.place:,}"
    show.line(f"The logs differ {place}.")
    sides = (
        (each.session_id, each.status, each.last_seq, each.seq, _spelled(each.event)) for each in (found.a, found.b)
    )
    show.table(("id", "status", "last seq", "seq", "event there"), sides, right=("last seq", "seq"))


def _spelled(event: object) -> str:
    return "" if event is None else json_text.dumps(event, ensure_ascii=False)
