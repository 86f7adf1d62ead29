"""`zeon sessions create`: the same request as over HTTP, spelled as options."""

from __future__ import annotations

import json as json_text
from typing import Annotated, Any

import typer

from app.cli import session_view
from app.cli.context import Context, run
from app.cli.options import EndOption, Json, MsPerCandle, Speed, TimeframeOption, VenueOption, as_usage, given, time_ms
from app.domain.session import Session
from app.web.inputs import checked, fingerprint
from app.web.models import NewSession

Symbols = Annotated[
    list[str], typer.Option("--symbol", metavar="SYMBOL", help="Repeat for several; their order is that in a slot.")
]
Start = Annotated[
    int, typer.Option("--start", parser=time_ms, metavar="TIME", help="First open time: ms or ISO 8601, UTC.")
]
Profile = Annotated[str, typer.Option(metavar="SLUG", help="Strategy, see `zeon profiles`; none: candles only.")]
Config = Annotated[str | None, typer.Option(metavar="JSON", help="Parameters of the strategy, an object.")]
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
    symbol: Symbols,
    timeframe: TimeframeOption,
    start: Start,
    end: EndOption = None,
    venue: VenueOption = None,
    profile: Profile = "none",
    config: Config = None,
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
    asked = given(
        profileSlug=profile,
        symbols=symbol,
        timeframe=timeframe,
        startMs=start,
        endMs=end,
        venue=venue,
        config=_parsed(config),
        replayMsPerCandle=ms_per_candle,
        speed=speed,
        lagMs=lag_ms,
        gapPolicy=gap_policy,
        gapGraceMs=gap_grace_ms,
        name=name,
        tags=tag,
    )
    with as_usage():
        wanted = checked(NewSession, asked)

    async def work(context: Context) -> Session:
        spec = wanted.spec(context.settings)
        return (await context.sim.create(context.user, spec, key=key, request_hash=fingerprint(asked)))[0]

    session_view.tell(run(work), json)


def _parsed(text: str | None) -> Any:
    try:
        return None if text is None else json_text.loads(text)
    except json_text.JSONDecodeError as error:
        raise typer.BadParameter(f"config: is not JSON: {error}") from None
