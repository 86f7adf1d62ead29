"""A session: its settings, its status, and the transitions that each status allows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Final, Literal, NamedTuple
from uuid import UUID

from pydantic import BeforeValidator, Field

from app.domain.lineage import Ancestor
from app.domain.market.symbol import SYMBOL_FORM, VENUE_FORM, normalize_symbol, normalize_venue
from app.domain.market.timeframe import TIMEFRAMES, Timeframe, timeframe
from app.domain.market.trading_hours import OpeningHours
from app.domain.setting import PauseMs, Setting, SettingField, TimeMs, build, checked, flatten, setting_fields
from app.domain.trading.settings import BrokerConfig, Sizing, TradingSettings, parse_sizing, sizing_to_json
from app.domain.trading.slug import slug_of
from app.errors import BadInputError

CREATED: Final = "created"
RUNNING: Final = "running"
PAUSED: Final = "paused"
STOPPED: Final = "stopped"
FINISHED: Final = "finished"
FAILED: Final = "failed"

STATUSES: Final = (CREATED, RUNNING, PAUSED, STOPPED, FINISHED, FAILED)
TRADABLE: Final = (CREATED, RUNNING, PAUSED)
"""Statuses in which a session takes orders from outside."""
ENDED: Final = (STOPPED, FINISHED, FAILED)
"""Statuses in which a stream ends after the last event."""

MOVES: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "start": ((CREATED, PAUSED, FAILED), RUNNING),
    "pause": ((RUNNING,), PAUSED),
    "resume": ((CREATED, PAUSED), RUNNING),
    "stop": ((CREATED, RUNNING, PAUSED, FAILED), STOPPED),
    "fail": ((CREATED, RUNNING, PAUSED, FAILED), FAILED),
    "finish": ((RUNNING,), FINISHED),
    "step": ((CREATED, PAUSED), RUNNING),
    "runUntil": ((CREATED, PAUSED), RUNNING),
    "jump": ((PAUSED, RUNNING), RUNNING),
}
"""Call -> the statuses it is allowed in, and the new status."""


MIN_GRACE_MS: Final = 60_000
MAX_WARMUP: Final = 100_000
Speed = Annotated[int, Field(ge=1, le=200)]
Symbol = Annotated[str, checked(normalize_symbol, SYMBOL_FORM), Field(json_schema_extra={"pattern": SYMBOL_FORM})]
Venue = Annotated[str, checked(normalize_venue), Field(json_schema_extra={"pattern": VENUE_FORM})]
SLUG_FORM: Final = r"^[a-z0-9_-]{1,64}$"
Slug = Annotated[
    str,
    BeforeValidator(lambda value: slug_of(value) if isinstance(value, str) else value),
    Field(pattern=SLUG_FORM, json_schema_extra={"pattern": SLUG_FORM}),
]
Name = Annotated[str, Field(max_length=200)]
Tag = Annotated[str, Field(min_length=1, max_length=100)]
TimeframeName = Annotated[
    str, checked(lambda text: timeframe(text).name), Field(json_schema_extra={"enum": list(TIMEFRAMES)})
]


@dataclass(frozen=True, slots=True)
class Pace:
    """The pause between two ticks: either `ms` per tick (0 = unpaced) or the timeframe divided by `speed`."""

    ms: Annotated[
        PauseMs | None,
        Setting(
            "Pause between candles in ms; 0: no pause.",
            "MS",
            name="replay_ms_per_candle",
            option="--ms-per-candle",
            fork=True,
            optional=True,
        ),
    ] = None
    speed: Annotated[
        Speed | None,
        Setting(
            "Instead of a pause: how many times as fast as the market; 1: real time.",
            "1..200",
            fork=True,
            optional=True,
        ),
    ] = None

    @property
    def unpaced(self) -> bool:
        """Whether ticks follow each other without a pause."""
        return self.ms == 0

    @property
    def text(self) -> str:
        """The pace for people."""
        if self.speed is not None:
            return f"speed {self.speed}"
        return "unpaced" if self.unpaced else f"{self.ms:,} ms per candle"

    def offset_ns(self, ticks: int, timeframe: Timeframe) -> int:
        """Return when tick number `ticks` is due, in ns after the anchor, rounded down, without drift."""
        if self.speed is not None:
            return ticks * timeframe.ms * 1_000_000 // self.speed
        return ticks * (self.ms or 0) * 1_000_000


@dataclass(frozen=True)
class SessionSpec:
    """The settings of a session; times in ms UTC, the range is `[start_ms, end_ms)`.

    Each field is also a field of requests and answers, an option and a column; see CONTRIBUTING.md to add one.
    """

    profile_slug: Annotated[
        Slug,
        Setting("Strategy, see `zeon profiles`; none: candles only.", "SLUG", option="--profile", fork=True),
    ]
    venue: Annotated[Venue, Setting("Venue of the candles; default: ZEON_VENUE.", "VENUE", optional=True)]
    symbols: Annotated[
        tuple[Symbol, ...],
        Field(min_length=1, max_length=50),
        Setting(
            "Symbol; repeat for several. Their order is the order within a slot.",
            "SYMBOL",
            option="--symbol",
            optional=True,
        ),
    ]
    timeframe: Annotated[TimeframeName, Setting(f"One of {' '.join(TIMEFRAMES)}.", "TIMEFRAME")]
    start_ms: Annotated[TimeMs, Setting("Start of the range, the first open time.", "TIME", option="--start")]
    end_ms: Annotated[
        TimeMs | None,
        Setting(
            "End of the range, exclusive; default: none, follow the market.", "TIME", option="--end", optional=True
        ),
    ]
    lag_ms: Annotated[TimeMs, Setting("Earliest time after its open time at which a candle is due, in ms.", "MS")] = (
        900_000
    )
    pace: Pace = Pace(15_000)
    gap_policy: Annotated[
        Literal["fail", "skip", "fill"],
        Setting(
            "What to do about a missing candle. Default: fail; without an end: skip.",
            "POLICY",
            optional=True,
        ),
    ] = "fail"
    gap_grace_ms: Annotated[
        TimeMs,
        Setting(
            "How long to wait for a missing candle after its close, in ms. Default: the timeframe, at least a minute.",
            "MS",
            optional=True,
        ),
    ] = MIN_GRACE_MS
    extra_timeframes: Annotated[
        tuple[TimeframeName, ...],
        Field(max_length=10),
        Setting(
            "Longer candles built as well; repeat for more. Default: those the strategy declares.",
            "TIMEFRAME",
            option="--extra-timeframe",
            optional=True,
        ),
    ] = ()
    warmup_candles: Annotated[
        int,
        Field(ge=0, le=MAX_WARMUP),
        Setting("Candles before the start that only the strategy sees. Default: what it declares.", "N", optional=True),
    ] = 0
    trading: TradingSettings = field(default_factory=TradingSettings)
    kind: Annotated[Literal["sim", "market"], Setting("Kind of session.", in_request=False, in_diff=False)] = "sim"
    days_per_year: Annotated[
        int,
        Setting(
            "Trading days per year of the venue's calendar; 365: round the clock.", in_request=False, in_diff=False
        ),
    ] = 365
    name: Annotated[Name | None, Setting("Name of the session, free text.", fork=True, in_diff=False)] = None
    tags: Annotated[
        tuple[Tag, ...],
        Field(max_length=50),
        Setting("Tag to filter by; repeat for more.", option="--tag", fork=True, in_diff=False),
    ] = ()
    config: Annotated[
        dict[str, Any],
        Setting("Parameters of the strategy: a JSON object, on the command line also NAME=VALUE.", "JSON", fork=True),
    ] = field(default_factory=dict)
    hours: OpeningHours | None = field(default=None, compare=False, repr=False)
    """The trading hours of the venue, set by the process that runs the session: closed hours are no gap. Not stored."""
    left_to_strategy: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """The settings of a new session that its strategy may choose. Not stored."""

    @cached_property
    def grid(self) -> Timeframe:
        """The timeframe with its length and grid."""
        return TIMEFRAMES[self.timeframe]

    @cached_property
    def broker_config(self) -> BrokerConfig:
        """The settings of broker and strategy; the seed depends only on the session's inputs."""
        inputs = (self.profile_slug, self.config, self.venue, self.symbols, self.timeframe, self.start_ms)
        seed = json.dumps(inputs, sort_keys=True)
        return BrokerConfig(**flatten(self.trading), symbols=self.symbols, timeframe=self.timeframe, seed=seed)

    @cached_property
    def first_slot_ms(self) -> int:
        """The first grid time of the range."""
        return self.grid.ceil(self.start_ms)

    @cached_property
    def warmup_ms(self) -> int:
        """The open time of the first candle needed for the warm-up if none is missing."""
        first_ms = self.first_slot_ms - self.warmup_candles * self.grid.ms
        longer = self.extra_timeframes if self.warms_longer_candles else ()
        return min([first_ms, *(TIMEFRAMES[name].floor(first_ms) for name in longer)])

    @property
    def warms_longer_candles(self) -> bool:
        """Whether the warm-up has longer candles."""
        return bool(self.warmup_candles and self.extra_timeframes) and self.trading.rule_set.longer_candles_warmed

    @cached_property
    def last_slot_ms(self) -> int | None:
        """The last grid time of the range, null without an end; before `first_slot_ms` if the range has no slot."""
        return None if self.end_ms is None else self.grid.floor(self.end_ms - 1)

    def due_ms(self, open_time_ms: int) -> int:
        """Return the earliest time at which the candle of a slot may appear: after its close and after `lag_ms`."""
        return open_time_ms + max(self.grid.ms, self.lag_ms)


SETTINGS: Final = setting_fields(SessionSpec)
"""Every field of a session's settings; requests, answers, options and columns are derived from it."""
_SIZINGS: Final = {field.name for field in SETTINGS if field.base_type is Sizing}
_TUPLES: Final = {field.name for field in SETTINGS if field.base_type is tuple}


def setting_to_json(value: Any) -> Any:
    """Return the value of a setting for JSON, with exact decimals."""
    if isinstance(value, Sizing):
        return sizing_to_json(value)
    return list(value) if isinstance(value, tuple) else value


def setting_from_json(field: SettingField, value: Any) -> Any:
    """Return the value of a setting from JSON; raises `BadInputError` for an invalid sizing."""
    if value is None:
        return None
    if field.name in _SIZINGS:
        return parse_sizing(value)
    return tuple(value) if field.name in _TUPLES else value


def new_spec(values: Mapping[str, Any]) -> SessionSpec:
    """Return the settings of a new session from values by name; missing ones get their defaults.

    The default gap policy depends on whether the range has an end, the default grace on the timeframe.
    """
    end_ms, extra = values.get("end_ms"), values.get("extra_timeframes", ())
    defaults = {
        "gap_policy": "skip" if end_ms is None else "fail",
        "gap_grace_ms": max(MIN_GRACE_MS, TIMEFRAMES[values["timeframe"]].ms),
    }
    sorted_ = {"end_ms": end_ms, "extra_timeframes": tuple(sorted(extra, key=lambda name: TIMEFRAMES[name].ms))}
    left = frozenset({"extra_timeframes", "warmup_candles"} - values.keys())
    return replace(build(SessionSpec, defaults | dict(values) | sorted_), left_to_strategy=left)


def require_consistent(values: Mapping[str, Any]) -> None:
    """Raise `BadInputError` for settings of a new session that contradict each other."""
    for name in values["symbols"]:
        if values["symbols"].count(name) > 1:
            raise BadInputError(f"symbols: {name} is given twice")
    require_longer(values["timeframe"], values.get("extra_timeframes", ()), "extraTimeframes:")
    end_ms = values.get("end_ms")
    if end_ms is not None and end_ms <= values["start_ms"]:
        raise BadInputError("endMs: must be greater than startMs")


def require_longer(base: str, extra: Sequence[str], field: str) -> None:
    """Raise `BadInputError` unless every extra timeframe consists of whole base candles and is named once."""
    for name in extra:
        longer, own = TIMEFRAMES[name], TIMEFRAMES[base]
        if longer.ms <= own.ms or longer.ms % own.ms or (longer.offset_ms - own.offset_ms) % own.ms:
            raise BadInputError(f"{field} {name} does not consist of whole candles of {base}")
        if extra.count(name) > 1:
            raise BadInputError(f"{field} {name} is given twice")


class Waiting(NamedTuple):
    """The candle a running session waits for; `symbols` are those without it, none if it is only not due yet.

    Times in ms UTC; before `due_ms` the candle does not appear even if it is cached. `text` says it in a sentence.
    """

    symbols: tuple[str, ...]
    open_time_ms: int
    due_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class Session:
    """A session: its settings and the state in its row."""

    id: UUID
    user_id: str
    spec: SessionSpec
    status: str
    cursor_ms: int | None
    last_seq: int
    last_ts: int | None
    error: str | None
    error_details: Any
    idempotency_key: str | None
    request_hash: str | None
    runner: str | None
    incarnation: int | None
    epoch: int
    takeovers: int
    steps_left: int | None
    until_ms: int | None
    until_type: str | None
    jump_ms: int | None
    commands: int
    strategy_hash: str | None
    warmup_hash: str | None
    candles_hash: str | None
    digest: str | None
    parent_id: UUID | None
    fork_seq: int | None
    lineage: tuple[Ancestor, ...]
    created_at: datetime
    updated_at: datetime
    fetching: tuple[int, int] | None = None
    checking: tuple[int, int] | None = None
    waiting: Waiting | None = None

    @property
    def past(self) -> tuple[Ancestor, ...]:
        """The ancestors that wrote ticks or commands into the log, oldest first."""
        return tuple(ancestor for ancestor in self.lineage if ancestor.wrote)

    @property
    def slugs(self) -> set[str]:
        """The profiles of all strategies that wrote the log or will write it."""
        return {self.spec.profile_slug, *(ancestor.profile_slug for ancestor in self.past)}

    @property
    def ended(self) -> bool:
        """Whether the session has ended; no events follow unless a failed one is started again."""
        return self.status in ENDED

    def progress(self) -> dict[str, Any] | None:
        """Return slots done, total slots and percent, and the progress of fetching or checking while that goes on.

        Null for an endless session, except then.
        """
        spec = self.spec
        also = {"fetching": self.fetching, "checking": self.checking}
        under_way = {name: dict(zip(("done", "total"), of, strict=True)) for name, of in also.items() if of}
        if spec.end_ms is None:
            return {"done": None, "total": None, "pct": None, **under_way} if under_way else None
        total = spec.grid.slots(spec.start_ms, spec.end_ms)
        done = 0 if self.cursor_ms is None else spec.grid.slots(spec.start_ms, self.cursor_ms + 1)
        return {"done": done, "total": total, "pct": round(100 * done / total, 2) if total else 100, **under_way}
