"""What requests may carry, in the spelling of the API."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from app.domain.event import TYPES
from app.domain.market.symbol import normalize_symbol as spelled_symbol
from app.domain.market.symbol import normalize_venue as spelled_venue
from app.domain.market.timeframe import TIMEFRAMES, timeframe
from app.domain.number import parse_decimal
from app.domain.session import STATUSES, Pace, SessionSpec
from app.domain.trading.settings import Sizing, TradingSettings, parse_sizing
from app.engine.input_checks import CANDLES_ONLY
from app.engine.session_service import Action
from app.errors import BadInputError
from app.settings import Settings

MAX_SEQ = 2**63 - 2
MAX_TIME_MS = 8_640_000_000_000_000
"""The last instant a browser's Date can hold."""
MAX_PAUSE_MS = 365 * 86_400_000
MOST = Decimal("1e18")
_DIGITS = 40
DEFAULT_PAUSE_MS = 15_000
DEFAULT_LAG_MS = 900_000
LEAST_GRACE_MS = 60_000


def _spelled(spell: Callable[[str], Any]) -> AfterValidator:
    """Check a text with a function of the domain; pydantic names the field itself."""

    def check(text: str) -> Any:
        try:
            return spell(text)
        except BadInputError as error:
            raise ValueError(error.message.partition(": ")[2]) from None

    return AfterValidator(check)


def _whole(text: Any) -> Any:
    """Read an integer from a query string."""
    if isinstance(text, str) and not re.fullmatch(r"-?[0-9]{1,19}", text):
        raise ValueError("must be a whole number")
    return int(text)


def _types(text: Any) -> Any:
    """Read a list of event types, separated by commas."""
    names = text.split(",") if isinstance(text, str) else text
    unknown = [name for name in names if name not in TYPES]
    if unknown:
        raise ValueError(f"{unknown[0][:40]!r} is not one of {', '.join(TYPES)}")
    return names


def _decimal(value: Any) -> Any:
    """Read a JSON number without loss."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    number = parse_decimal(value)
    exponent = number.as_tuple().exponent
    if number.adjusted() > _DIGITS or not isinstance(exponent, int) or exponent < -_DIGITS:
        raise ValueError(f"must have at most {_DIGITS} digits before and after the point")
    return number


Amount = Annotated[Decimal, BeforeValidator(_decimal, json_schema_input_type=float), Field(gt=0, le=MOST)]
Rate = Annotated[Decimal, BeforeValidator(_decimal, json_schema_input_type=float), Field(ge=0, le=10_000)]
Share = Annotated[Decimal, BeforeValidator(_decimal, json_schema_input_type=float), Field(gt=0, le=1)]
TimeMs = Annotated[int, Field(ge=0, le=MAX_TIME_MS)]
PauseMs = Annotated[int, Field(ge=0, le=MAX_PAUSE_MS)]
Speed = Annotated[int, Field(ge=1, le=200)]
Symbol = Annotated[str, _spelled(spelled_symbol)]
Venue = Annotated[str, _spelled(spelled_venue)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]
Name = Annotated[str, Field(max_length=200)]
Tag = Annotated[str, Field(min_length=1, max_length=100)]
Tags = Annotated[list[Tag], Field(max_length=50)]
Key = Annotated[str, Field(pattern=r"^[!-~]{1,200}$")]
TimeframeName = Annotated[
    str, _spelled(lambda text: timeframe(text).name), Field(json_schema_extra={"enum": list(TIMEFRAMES)})
]
Count = Annotated[int, BeforeValidator(_whole, json_schema_input_type=int)]
Types = Annotated[list[str], BeforeValidator(_types, json_schema_input_type=str)]


class Body(BaseModel):
    """A JSON body: camelCase, exact types, nothing unknown."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, alias_generator=to_camel)


class PaceFields(Body):
    """A body that may set the pace."""

    replay_ms_per_candle: PauseMs | None = None
    speed: Speed | None = None

    @model_validator(mode="after")
    def _one_pace(self) -> Self:
        if self.replay_ms_per_candle is not None and self.speed is not None:
            raise ValueError("speed: give speed or replayMsPerCandle, not both")
        return self

    def pace(self) -> Pace | None:
        """Return the pace asked for, null when none is."""
        if self.speed is None and self.replay_ms_per_candle is None:
            return None
        return Pace(self.replay_ms_per_candle, self.speed)


def _sized(value: Mapping[Any, Decimal]) -> Sizing:
    return parse_sizing({str(kind): amount for kind, amount in value.items()})


class FeeFields(Body):
    """A body that may set fees, in basis points: one for all orders, or one each."""

    fee_bps: Rate | None = None
    maker_fee_bps: Rate | None = None
    taker_fee_bps: Rate | None = None

    @model_validator(mode="after")
    def _one_fee(self) -> Self:
        if self.fee_bps is not None and (self.maker_fee_bps is not None or self.taker_fee_bps is not None):
            raise ValueError("feeBps: give feeBps, or makerFeeBps and takerFeeBps")
        return self


class TradingFields(FeeFields):
    """The terms a session trades on; money in the quote currency, rates in basis points."""

    initial_cash: Amount = Decimal(10_000)
    slippage_bps: Rate = Decimal(0)
    leverage: Amount | None = Decimal(1)
    fill: Literal["next_open", "same_close"] = "next_open"
    limit_fill: Literal["through", "touch"] = "through"
    sizing: dict[Literal["qty", "cash", "equityPct", "qtyStep"], Amount] = {"equityPct": Decimal(100)}
    volume_share: Share | None = None
    record: Literal["full", "trades"] = "full"

    def terms(self) -> TradingSettings:
        """Return the terms, defaults filled in; raises `BadInputError` for a sizing that is none."""
        both = Decimal(10) if self.fee_bps is None else self.fee_bps
        same = ("initial_cash", "slippage_bps", "leverage", "fill", "limit_fill", "volume_share", "record")
        return TradingSettings(
            maker_fee_bps=both if self.maker_fee_bps is None else self.maker_fee_bps,
            taker_fee_bps=both if self.taker_fee_bps is None else self.taker_fee_bps,
            sizing=_sized(self.sizing),
            **{name: getattr(self, name) for name in same},
        )


class NewSession(PaceFields, TradingFields):
    """What a session is created from."""

    profile_slug: Slug
    symbol: Symbol | None = None
    symbols: Annotated[list[Symbol], Field(min_length=1, max_length=50)] | None = None
    timeframe: TimeframeName
    extra_timeframes: Annotated[list[TimeframeName], Field(max_length=10)] = []
    start_ms: TimeMs
    end_ms: TimeMs | None = None
    lag_ms: TimeMs = DEFAULT_LAG_MS
    warmup_candles: Annotated[int, Field(ge=0, le=100_000)] = 0
    gap_policy: Literal["fail", "skip", "fill"] | None = None
    gap_grace_ms: TimeMs | None = None
    mode: Literal["replay"] = "replay"
    venue: Venue | None = None
    name: Name | None = None
    tags: Tags = []
    config: dict[str, Any] = {}
    idempotency_key: Key | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.symbol is None) == (self.symbols is None):
            raise ValueError("symbol: give either symbol or symbols")
        for name in self.symbols or ():
            if self.symbols and self.symbols.count(name) > 1:
                raise ValueError(f"symbols: {name} is given twice")
        longer_than(self.timeframe, self.extra_timeframes)
        if self.end_ms is not None and self.end_ms <= self.start_ms:
            raise ValueError("endMs: must be greater than startMs")
        return self

    def spec(self, settings: Settings) -> SessionSpec:
        """Return the session asked for, defaults filled in; raises `BadInputError` for a config that is too large."""
        require_small(self.config, settings)
        grace_ms = max(LEAST_GRACE_MS, timeframe(self.timeframe).ms) if self.gap_grace_ms is None else self.gap_grace_ms
        return SessionSpec(
            profile_slug=self.profile_slug,
            venue=self.venue or settings.venue,
            symbols=tuple(self.symbols or [self.symbol or ""]),
            timeframe=self.timeframe,
            start_ms=self.start_ms,
            end_ms=self.end_ms,
            lag_ms=self.lag_ms,
            pace=self.pace() or Pace(DEFAULT_PAUSE_MS),
            gap_policy=self.gap_policy or ("skip" if self.end_ms is None else "fail"),
            gap_grace_ms=grace_ms,
            extra_timeframes=tuple(sorted(self.extra_timeframes, key=lambda name: TIMEFRAMES[name].ms)),
            warmup_candles=self.warmup_candles,
            terms=self.terms(),
            name=self.name,
            tags=tuple(self.tags),
            config=self.config,
        )


def require_small(config: Mapping[str, Any], settings: Settings) -> None:
    """Raise `BadInputError` for a config of more bytes than allowed."""
    size = len(json.dumps(config, ensure_ascii=False, separators=(",", ":")).encode())
    if size > settings.max_config:
        raise BadInputError(f"config: {size} bytes, at most {settings.max_config} are allowed")


def longer_than(base: str, extra: Sequence[str]) -> None:
    """Raise ValueError unless every extra timeframe is made of whole candles of the base, each named once."""
    for name in extra:
        longer, own = TIMEFRAMES[name], TIMEFRAMES[base]
        if longer.ms <= own.ms or longer.ms % own.ms or (longer.offset_ms - own.offset_ms) % own.ms:
            raise ValueError(f"extraTimeframes: {name} is not made of whole candles of {base}")
        if extra.count(name) > 1:
            raise ValueError(f"extraTimeframes: {name} is given twice")


class SessionChanges(PaceFields):
    """What can be changed of a session."""

    name: Name | None = None
    tags: Tags = []

    def described(self) -> dict[str, Any]:
        """Return name and tags, where given."""
        return {field: getattr(self, field) for field in ("name", "tags") if field in self.model_fields_set}


class ForkRequest(PaceFields, FeeFields):
    """Where to leave a session's log, and what to do differently from there; what is not given stays as it is."""

    at_seq: Annotated[int, Field(ge=0, le=MAX_SEQ)]
    profile_slug: Slug | None = None
    config: dict[str, Any] | None = None
    slippage_bps: Rate | None = None
    leverage: Amount | None = None
    fill: Literal["next_open", "same_close"] | None = None
    limit_fill: Literal["through", "touch"] | None = None
    sizing: dict[Literal["qty", "cash", "equityPct", "qtyStep"], Amount] | None = None
    volume_share: Share | None = None
    name: Name | None = None
    tags: Tags | None = None

    def change(self, parent: SessionSpec) -> SessionSpec:
        """Return the parent's terms of reference with the changes; another profile begins with no parameters.

        A market session shows candles only, so a fork of one that trades is a sim session.
        """
        given = self.model_fields_set
        profile = self.profile_slug or parent.profile_slug
        config = self.config if "config" in given else {} if "profile_slug" in given else parent.config
        return replace(
            parent,
            kind=parent.kind if profile == CANDLES_ONLY else "sim",
            profile_slug=profile,
            config=config or {},
            terms=replace(parent.terms, **self._terms()),
            pace=self.pace() or parent.pace,
            name=self.name if "name" in given else parent.name,
            tags=tuple(self.tags or ()) if "tags" in given else parent.tags,
        )

    def _terms(self) -> dict[str, Any]:
        nullable = ("leverage", "volume_share")
        plain = ("maker_fee_bps", "taker_fee_bps", "slippage_bps", "fill", "limit_fill", *nullable)
        both = {} if self.fee_bps is None else {"maker_fee_bps": self.fee_bps, "taker_fee_bps": self.fee_bps}
        sized = {} if self.sizing is None else {"sizing": _sized(self.sizing)}
        values = {name: getattr(self, name) for name in plain if name in self.model_fields_set}
        return both | sized | {name: value for name, value in values.items() if value is not None or name in nullable}


class StartRequest(Body):
    """A call that lets a session run: over candles that were revised since only where that is accepted."""

    accept_revised: bool = False


class EmptyRequest(Body):
    """A call that takes no arguments."""


class ControlRequest(PaceFields):
    """An action on a session's time, its arguments beside it."""

    action: Literal["pause", "resume", "stop", "pace", "step", "runUntil", "jump"]
    candles: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    time_ms: TimeMs | None = None
    event_type: Annotated[str, Field(json_schema_extra={"enum": list(TYPES)})] | None = None
    if_cursor_ms: TimeMs | None = None
    accept_revised: bool = False

    @model_validator(mode="after")
    def _has_its_arguments(self) -> Self:
        given = {to_camel(name) for name in self.model_fields_set} - {"action"}
        needed, also = _ARGUMENTS.get(self.action, (set(), set()))
        if unknown := sorted(given - needed - also):
            raise ValueError(f"{unknown[0]}: {self.action} does not take it")
        chosen = [name for name in needed & given if getattr(self, _FIELDS[name]) is not None]
        if needed and len(chosen) != 1:
            raise ValueError(f"{sorted(needed)[0]}: {self.action} needs {' or '.join(sorted(needed))}")
        if self.event_type not in (None, *TYPES):
            raise ValueError(f"eventType: is not one of {', '.join(TYPES)}")
        return self

    def asked(self) -> Action:
        """Return the action asked for."""
        conditional = "if_cursor_ms" in self.model_fields_set
        return Action(
            self.action,
            self.pace(),
            steps=self.candles,
            time_ms=self.time_ms,
            event_type=self.event_type,
            if_cursor=(self.if_cursor_ms,) if conditional else None,
            accept_revised=self.accept_revised,
        )


_ARGUMENTS: dict[str, tuple[set[str], set[str]]] = {
    "resume": (set(), {"acceptRevised"}),
    "pace": ({"replayMsPerCandle", "speed"}, set()),
    "step": ({"candles"}, {"ifCursorMs"}),
    "runUntil": ({"timeMs", "eventType"}, {"ifCursorMs"}),
    "jump": ({"timeMs"}, set()),
}
"""Per action: the arguments of which exactly one is needed, and those it may have besides."""

_FIELDS = {to_camel(name): name for name in ControlRequest.model_fields}


class LoginRequest(Body):
    """A token to exchange for a cookie."""

    token: Annotated[str, Field(min_length=1, max_length=200)]


class Query(BaseModel):
    """A query string: everything is text, nothing unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


class SessionsQuery(Query):
    """Which sessions to list."""

    status: Annotated[str | None, Field(json_schema_extra={"enum": list(STATUSES)})] = None
    tag: Tag | None = None
    limit: Annotated[Count, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, Field(max_length=200)] | None = None

    @model_validator(mode="after")
    def _known_status(self) -> Self:
        if self.status not in (None, *STATUSES):
            raise ValueError(f"status: is not one of {', '.join(STATUSES)}")
        return self


class FromQuery(Query):
    """Where in the log to begin, and which types to show."""

    from_seq: Annotated[Count, Field(ge=0, le=MAX_SEQ)] = 0
    tail: Annotated[Count, Field(ge=0, le=MAX_SEQ)] | None = None
    types: Types | None = None

    @model_validator(mode="after")
    def _one_beginning(self) -> Self:
        if self.tail is not None and "from_seq" in self.model_fields_set:
            raise ValueError("tail: give tail or fromSeq, not both")
        return self


class EventsQuery(FromQuery):
    """Which events to read."""

    tail: Annotated[Count, Field(ge=0, le=10_000)] | None = None
    limit: Annotated[Count, Field(ge=1, le=10_000)] | None = None


class StreamQuery(FromQuery):
    """Which events to follow."""


class NoQuery(Query):
    """A call that takes no parameters."""


class EquityQuery(Query):
    """In how many points to draw the equity curve; a sample takes milliseconds but may miss a spike."""

    points: Annotated[Count, Field(ge=2, le=5000)] = 500
    sample: bool = False


class ExportQuery(Query):
    """What to export, and as what."""

    what: Literal["events", "trades", "equity"]
    format: Literal["ndjson", "csv", "parquet"]
