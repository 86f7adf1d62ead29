"""`zeon sessions create`: the same request as over HTTP, spelled as options."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.command import Context, run
from app.cli.options import (
    EndOption,
    Json,
    MsPerCandle,
    Speed,
    TimeframeOption,
    VenueOption,
    as_usage,
    time_ms,
    without_none,
)
from app.cli.sessions import session_view
from app.cli.sessions import trading_options as trade
from app.domain.session import Session
from app.web.http.parsing import fingerprint, parse
from app.web.sim.requests import NewSession

Start = Annotated[
    int, typer.Option("--start", parser=time_ms, metavar="TIME", help="First open time: ms or ISO 8601, UTC.")
]
Profile = Annotated[str, typer.Option(metavar="SLUG", help="Strategy, see `zeon profiles`; none: candles only.")]
LagMs = Annotated[
    int | None, typer.Option(metavar="MS", help="How long after its open time a candle is due at the earliest.")
]
GapPolicy = Annotated[
    str | None,
    typer.Option(
        metavar="POLICY", help="What a missing candle does: fail, skip or fill. Without --end skip, else fail."
    ),
]
GapGraceMs = Annotated[int | None, typer.Option(metavar="MS", help="How long after its close a candle may come.")]
Name = Annotated[str | None, typer.Option(metavar="TEXT", help="Free text to know it by.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="TEXT", help="A word to filter by; repeat for more.")]
Key = Annotated[str | None, typer.Option(metavar="KEY", help="The same key again is the same session.")]


def create(
    symbol: trade.Symbols,
    timeframe: TimeframeOption,
    start: Start,
    end: EndOption = None,
    venue: VenueOption = None,
    profile: Profile = "none",
    config: trade.Config = None,
    extra_timeframe: trade.ExtraTimeframes = None,
    warmup_candles: trade.Warmup = None,
    initial_cash: trade.Cash = None,
    fee_bps: trade.Fee = None,
    maker_fee_bps: trade.MakerFee = None,
    taker_fee_bps: trade.TakerFee = None,
    slippage_bps: trade.Slippage = None,
    leverage: trade.Leverage = None,
    fill: trade.Fill = None,
    limit_fill: trade.LimitFill = None,
    sizing: trade.SizingText = None,
    volume_share: trade.VolumeShare = None,
    record: trade.Record = None,
    ms_per_candle: MsPerCandle = None,
    speed: Speed = None,
    lag_ms: LagMs = None,
    gap_policy: GapPolicy = None,
    gap_grace_ms: GapGraceMs = None,
    name: Name = None,
    tag: Tags = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Make a session, ready to start; without --end it follows the market for good."""
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
        profileSlug=profile,
        symbols=symbol,
        timeframe=timeframe,
        startMs=start,
        endMs=end,
        venue=venue,
        config=trade.parsed("config", config),
        extraTimeframes=extra_timeframe,
        warmupCandles=warmup_candles,
        initialCash=initial_cash,
        record=record,
        replayMsPerCandle=ms_per_candle,
        speed=speed,
        lagMs=lag_ms,
        gapPolicy=gap_policy,
        gapGraceMs=gap_grace_ms,
        name=name,
        tags=tag,
    )
    with as_usage():
        wanted = parse(NewSession, asked)
        wanted.terms()

    async def work(context: Context) -> Session:
        spec = wanted.spec(context.settings)
        return (await context.sim.create(context.user, spec, key=key, request_hash=fingerprint(asked)))[0]

    with as_usage():
        session = run(work)
    session_view.print_session(session, json)
