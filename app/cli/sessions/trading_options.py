"""The options of what a session trades on, for making sessions and forks; what is not given is left to the API."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer

from app.cli.options import without_none
from app.domain.number import DecimalFloat


def _number(text: str) -> DecimalFloat:
    try:
        return DecimalFloat(text)
    except ValueError:
        raise typer.BadParameter(f"{text[:40]!r} is not a number") from None


Symbols = Annotated[
    list[str], typer.Option("--symbol", metavar="SYMBOL", help="Repeat for several; their order is that in a slot.")
]
Config = Annotated[str | None, typer.Option(metavar="JSON", help="Parameters of the strategy, an object.")]
ExtraTimeframes = Annotated[
    list[str] | None,
    typer.Option("--extra-timeframe", metavar="TIMEFRAME", help="Longer candles to see as well; repeat for more."),
]
Warmup = Annotated[
    int | None, typer.Option("--warmup-candles", metavar="N", help="Candles before --start shown to the strategy only.")
]
Cash = Annotated[
    float | None, typer.Option("--initial-cash", parser=_number, metavar="MONEY", help="Cash at the start.")
]
Fee = Annotated[
    float | None, typer.Option("--fee-bps", parser=_number, metavar="BPS", help="Fee of every fill, basis points.")
]
MakerFee = Annotated[
    float | None, typer.Option("--maker-fee-bps", parser=_number, metavar="BPS", help="Instead: fee of limit orders.")
]
TakerFee = Annotated[
    float | None, typer.Option("--taker-fee-bps", parser=_number, metavar="BPS", help="Instead: fee of all others.")
]
Slippage = Annotated[
    float | None, typer.Option("--slippage-bps", parser=_number, metavar="BPS", help="How much worse takers fill.")
]
Leverage = Annotated[
    str | None, typer.Option(metavar="TIMES", help="Positions up to so many times the equity; none: no margin check.")
]
Fill = Annotated[str | None, typer.Option(metavar="WHEN", help="Market orders fill at next_open or same_close.")]
LimitFill = Annotated[str | None, typer.Option(metavar="WHEN", help="Limit orders fill by through or touch.")]
SizingText = Annotated[
    str | None, typer.Option("--sizing", metavar="JSON", help='Size of orders: {"qty": 1}, "cash" or "equityPct".')
]
VolumeShare = Annotated[
    float | None,
    typer.Option(parser=_number, metavar="0..1", help="Share of a candle's volume that fills may take; unset: any."),
]
Record = Annotated[str | None, typer.Option(metavar="WHAT", help="full, or trades: without candles, equity daily.")]


def _no_number(name: str) -> Callable[[str], NoReturn]:
    def refuse(word: str) -> NoReturn:
        raise typer.BadParameter(f"{name}: {word} is not a JSON number")

    return refuse


def parsed(name: str, text: str | None) -> Any:
    """Read the JSON of an option; a usage error when it is none."""
    try:
        return None if text is None else json.loads(text, parse_float=DecimalFloat, parse_constant=_no_number(name))
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"{name}: is not JSON: {error}") from None


def parsed_object(name: str, text: str | None) -> dict[str, Any]:
    """Read the JSON object of an option, an empty one where it is not given; a usage error when it is none."""
    value = parsed(name, text)
    if not isinstance(value, dict | None):
        raise typer.BadParameter(f"{name}: must be an object")
    return value or {}


def terms(
    *,
    fee_bps: float | None,
    maker_fee_bps: float | None,
    taker_fee_bps: float | None,
    slippage_bps: float | None,
    leverage: str | None,
    fill: str | None,
    limit_fill: str | None,
    sizing: str | None,
    volume_share: float | None,
) -> dict[str, Any]:
    """Return the fields of a request that were given; leverage `none` is an explicit null."""
    return without_none(
        feeBps=fee_bps,
        makerFeeBps=maker_fee_bps,
        takerFeeBps=taker_fee_bps,
        slippageBps=slippage_bps,
        fill=fill,
        limitFill=limit_fill,
        sizing=parsed("sizing", sizing),
        volumeShare=volume_share,
    ) | ({} if leverage is None else {"leverage": _leverage(leverage)})


def _leverage(text: str) -> float | None:
    try:
        return None if text == "none" else DecimalFloat(text)
    except ValueError:
        raise typer.BadParameter(f"leverage: {text[:40]!r} is neither a number nor none") from None
