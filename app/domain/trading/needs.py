"""What a strategy declares that it needs: longer timeframes, and candles to warm up on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from app.domain.market.timeframe import TIMEFRAMES
from app.domain.session import MAX_WARMUP, SessionSpec, require_longer
from app.domain.trading.strategy import Strategy
from app.errors import BadInputError


class Needs(NamedTuple):
    """Longer timeframes and the number of base candles before the range; both may be none."""

    timeframes: tuple[str, ...] = ()
    warmup: int = 0


def declared_needs(strategy: Strategy) -> Needs:
    """Return the needs of a strategy with its parameters; raises `BadInputError` for what is no declaration.

    `timeframes` and `warmup` are class attributes without a type, or methods. With a type they are parameters.
    """
    known = type(strategy).parameter_schema()["properties"]
    values = [_declared(strategy, name, known) for name in ("timeframes", "warmup")]
    return parse_needs(type(strategy).__name__, *values)


def parse_needs(name: str, timeframes: Any, warmup: Any) -> Needs:
    """Return checked needs of the strategy `name`; raises `BadInputError`."""
    several = isinstance(timeframes, (tuple, list)) and all(item in TIMEFRAMES for item in timeframes)
    if timeframes is not None and not several:
        raise BadInputError(
            f'profileSlug: {name}.timeframes must be timeframes such as ("1h",), not {timeframes!r:.60}'
        )
    whole = isinstance(warmup, int) and not isinstance(warmup, bool) and 0 <= warmup <= MAX_WARMUP
    if warmup is not None and not whole:
        raise BadInputError(
            f"profileSlug: {name}.warmup must be a number of candles up to {MAX_WARMUP}, not {warmup!r:.60}"
        )
    return Needs(tuple(timeframes or ()), warmup or 0)


def _declared(strategy: Strategy, name: str, known: Any) -> Any:
    value = None if name in known else getattr(strategy, name, None)
    return value() if callable(value) else value


def meet_needs(spec: SessionSpec, needs: Needs) -> SessionSpec:
    """Return the settings of a session with what its strategy needs, where they leave it to the strategy.

    Raises `BadInputError`, which names the field, for settings that contradict the strategy.
    """
    lacking = [name for name in needs.timeframes if name not in (spec.timeframe, *spec.extra_timeframes)]
    if lacking:
        require_longer(spec.timeframe, lacking, "timeframe: the strategy needs longer candles than this:")
        _require_left(spec, "extra_timeframes", f"extraTimeframes: the strategy needs {' '.join(lacking)} too")
        longer = sorted((*spec.extra_timeframes, *lacking), key=lambda name: TIMEFRAMES[name].ms)
        spec = replace(spec, extra_timeframes=tuple(longer))
    if needs.warmup > spec.warmup_candles:
        wanted = f"warmupCandles: the strategy needs at least {needs.warmup}, not {spec.warmup_candles}"
        _require_left(spec, "warmup_candles", wanted)
        spec = replace(spec, warmup_candles=needs.warmup)
    return spec


def _require_left(spec: SessionSpec, name: str, message: str) -> None:
    if name not in spec.left_to_strategy:
        raise BadInputError(f"{message}; leave the field out, or give what it needs")
