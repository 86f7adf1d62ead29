"""The models of requests, with the names of the API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic.alias_generators import to_camel

from app.domain.event import TYPES
from app.domain.session import (
    SETTINGS,
    STATUSES,
    Name,
    Pace,
    SessionSpec,
    Slug,
    Symbol,
    Tag,
    Venue,
    new_spec,
    require_consistent,
    setting_from_json,
)
from app.domain.setting import RATE_LIMITS, Rate, TimeMs, build, flatten, setting_fields
from app.domain.trading.rules import NEWEST_RULES
from app.engine.session_service import Action
from app.errors import BadInputError
from app.settings import Settings
from app.strategy_hosts.strategy_catalog import CANDLES_ONLY
from app.web.http.models import Body, Count, Cursor, Flag, Limit, Query
from app.web.sim.setting_models import json_number, takes_pace, takes_settings

MAX_SEQ = 2**63 - 2
FEE_HELP = "Fee of every fill, in basis points; instead of separate maker and taker fees."


def _types(value: Any) -> Any:
    """Parse event types: separated by commas, given several times, or both."""
    names = ",".join([value] if isinstance(value, str) else value).split(",")
    unknown = [name for name in names if name not in TYPES]
    if unknown:
        raise ValueError(f"{unknown[0][:40]!r} is not one of {', '.join(TYPES)}")
    return names


Key = Annotated[str, Field(pattern=r"^[!-~]{1,200}$")]
Tags = Annotated[list[Tag], Field(max_length=50)]
EventType = Annotated[str, Field(json_schema_extra={"enum": list(TYPES)})]
Types = Annotated[
    list[EventType],
    Field(min_length=1, description="Only events of these types; the seqs keep their numbers."),
    BeforeValidator(_types, json_schema_input_type=Annotated[list[EventType], Field(min_length=1)]),
]


_PACES = {field.name: field.json_name for field in setting_fields(Pace)}
"""The fields that set a pace, each in its own way -> their names in JSON."""


@takes_pace
class PaceFields(Body):
    """A body that may set the pace."""

    @model_validator(mode="after")
    def _one_pace(self) -> Self:
        given = [_PACES[name] for name in self._given()]
        if len(given) > 1:
            raise ValueError(f"{given[-1]}: give {' or '.join(reversed(given))}, not both")
        return self

    def pace(self) -> Pace | None:
        """Return the pace, null if none is given."""
        given = self._given()
        return build(Pace, given) if given else None

    def _given(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in _PACES}
        return {name: value for name, value in values.items() if value is not None}


_RateNumber = Annotated[Rate, json_number(RATE_LIMITS)]


class FeeFields(Body):
    """A body that may set fees: one for all fills, or one for makers and one for takers."""

    fee_bps: Annotated[_RateNumber | None, Field(description=FEE_HELP)] = None
    maker_fee_bps: _RateNumber | None = None
    taker_fee_bps: _RateNumber | None = None

    @model_validator(mode="after")
    def _one_fee(self) -> Self:
        if self.fee_bps is not None and (self.maker_fee_bps is not None or self.taker_fee_bps is not None):
            raise ValueError("feeBps: give feeBps, or makerFeeBps and takerFeeBps")
        return self

    def settings(self) -> dict[str, Any]:
        """Return the settings of the body by name, without optional ones that are not given."""
        both = {} if self.fee_bps is None else {"maker_fee_bps": self.fee_bps, "taker_fee_bps": self.fee_bps}
        fields = [field for field in SETTINGS if field.name in type(self).model_fields]
        values = {field.name: setting_from_json(field, getattr(self, field.name)) for field in fields}
        left_out = {field.name for field in fields if field.setting.optional and values[field.name] is None}
        return both | {name: value for name, value in values.items() if name not in left_out}


def _second_name(first: str) -> Any:
    """Describe a field that older clients send instead of another one."""
    return Field(description=f"Second name of `{first}`, for older clients.", json_schema_extra={"deprecated": True})


_SECOND_NAMES: Final = {"config_override": "config", "exchange": "venue"}
"""Fields that older clients send, and the setting that each one is."""


@takes_settings()
class NewSession(PaceFields, FeeFields):
    """The settings of a new session."""

    symbol: Symbol | None = None
    mode: Literal["replay"] = "replay"
    idempotency_key: Key | None = None
    config_override: Annotated[dict[str, Any] | None, _second_name("config")] = None
    exchange: Annotated[Venue | None, _second_name("venue")] = None

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        for second, first in _SECOND_NAMES.items():
            given = first in self.model_fields_set and getattr(self, first) is not None
            if given and getattr(self, second) is not None:
                raise ValueError(f"{to_camel(second)}: is a second name of {first}; give one of them")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        try:
            require_consistent(self.settings())
        except BadInputError as error:
            raise ValueError(error.message) from None
        return self

    def settings(self) -> dict[str, Any]:
        """Return the settings of the body, see `FeeFields.settings`; raises `BadInputError` for an invalid sizing.

        `symbol` is short for `symbols` with one symbol.
        """
        values = super().settings() | self._by_second_names()
        if (self.symbol is None) == ("symbols" not in values):
            raise BadInputError("symbol: give either symbol or symbols")
        return values if self.symbol is None else {**values, "symbols": (self.symbol,)}

    def _by_second_names(self) -> dict[str, Any]:
        given = {first: getattr(self, second) for second, first in _SECOND_NAMES.items()}
        return {name: value for name, value in given.items() if value is not None}

    def spec(self, settings: Settings) -> SessionSpec:
        """Return the session to create, with defaults; raises `BadInputError` for a config that is too large."""
        values = {"venue": settings.venue} | self.settings()
        require_small(values["config"], settings)
        return new_spec(values)


def require_small(config: Mapping[str, Any], settings: Settings) -> None:
    """Raise `BadInputError` for a config of more bytes than allowed."""
    size = len(json.dumps(config, ensure_ascii=False, separators=(",", ":")).encode())
    if size > settings.max_config:
        raise BadInputError(f"config: {size} bytes, at most {settings.max_config} are allowed")


class SessionChanges(PaceFields):
    """The changes of a session: its pace, name or tags."""

    name: Name | None = None
    tags: Tags = Field([])

    def name_and_tags(self) -> dict[str, Any]:
        """Return name and tags, if given."""
        return {field: getattr(self, field) for field in ("name", "tags") if field in self.model_fields_set}


@takes_settings(fork=True)
class ForkRequest(PaceFields, FeeFields):
    """The seq to fork a session at, and the settings that change; all others are copied."""

    at_seq: Annotated[int, Field(ge=0, le=MAX_SEQ)]
    profile_slug: Slug | None = None
    config: dict[str, Any] | None = None

    def change(self, parent: SessionSpec) -> SessionSpec:
        """Return the parent's settings with the changes; with another profile the parameters are not copied.

        What follows the shared log has the newest rules, unless the request names others.
        A market session shows only candles, so a fork of one that trades is a sim session.
        """
        settings = flatten(parent) | {"rules": NEWEST_RULES} | self._changes()
        kind = parent.kind if settings["profile_slug"] == CANDLES_ONLY else "sim"
        return replace(build(SessionSpec, {**settings, "kind": kind}), hours=parent.hours)

    def _changes(self) -> dict[str, Any]:
        """Return the settings that change; null is a change if a setting may be null, a list or an object."""
        given = self.model_fields_set
        pace = self.pace()
        changes = {} if pace is None else flatten(pace)
        if self.fee_bps is not None:
            changes |= {"maker_fee_bps": self.fee_bps, "taker_fee_bps": self.fee_bps}
        if "profile_slug" in given:
            changes["config"] = {}
        for field in SETTINGS:
            if field.name not in given or field.name in _PACES:
                continue
            value = setting_from_json(field, getattr(self, field.name))
            if value is None and field.base_type in (tuple, dict):
                value = field.base_type()
            if value is not None or field.nullable:
                changes[field.name] = value
        return changes


class StartRequest(Body):
    """A call that starts or resumes a session.

    `acceptRevised` accepts revised candles; `acceptChanged` accepts that changed code gives another log.
    """

    accept_revised: bool = False
    accept_changed: bool = False

    def to_action(self, call: str) -> Action:
        """Return the action of the request."""
        return Action(call, accept_revised=self.accept_revised, accept_changed=self.accept_changed)


class ControlRequest(PaceFields):
    """An action on a session's time, with its arguments."""

    action: Literal["pause", "resume", "stop", "pace", "step", "runUntil", "jump"]
    candles: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    time_ms: TimeMs | None = None
    event_type: Annotated[str, Field(json_schema_extra={"enum": list(TYPES)})] | None = None
    if_cursor_ms: TimeMs | None = None
    wait: Annotated[bool, Field(description="Answer a step when its last tick is in the log.")] = False
    accept_revised: bool = False
    accept_changed: bool = False

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

    def to_action(self) -> Action:
        """Return the action of the request."""
        conditional = "if_cursor_ms" in self.model_fields_set
        return Action(
            self.action,
            self.pace(),
            steps=self.candles,
            time_ms=self.time_ms,
            event_type=self.event_type,
            if_cursor=(self.if_cursor_ms,) if conditional else None,
            accept_revised=self.accept_revised,
            accept_changed=self.accept_changed,
        )


_ARGUMENTS: dict[str, tuple[set[str], set[str]]] = {
    "resume": (set(), {"acceptRevised", "acceptChanged"}),
    "pace": (set(_PACES.values()), set()),
    "step": ({"candles"}, {"ifCursorMs", "wait"}),
    "runUntil": ({"timeMs", "eventType"}, {"ifCursorMs"}),
    "jump": ({"timeMs"}, set()),
}
"""Action -> the arguments of which exactly one is required, and the optional ones."""

_FIELDS = {to_camel(name): name for name in ControlRequest.model_fields}


Seq = Annotated[int, Count(0, MAX_SEQ)]
LastEventId = Annotated[
    str,
    Field(
        pattern="^[0-9]{0,18}$",
        description="The last seq seen, for clients that send no header Last-Event-ID; wins over fromSeq and tail.",
    ),
]
CacheBuster = Annotated[str | None, Field(alias="_", description="Ignored: some clients send a random value.")]


def _known_status(name: str) -> str:
    if name not in STATUSES:
        raise ValueError(f"is not one of {', '.join(STATUSES)}")
    return name


Status = Annotated[str, AfterValidator(_known_status), Field(json_schema_extra={"enum": list(STATUSES)})]


class SessionsQuery(Query):
    """Which sessions to list."""

    status: Status | None = None
    tag: Tag | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class FromSeq(Query):
    """Where in the log to start: a seq, inclusive."""

    from_seq: Annotated[Seq, Field(description="First seq; 0 and 1 are the same.")] = 0


class FollowQuery(FromSeq):
    """Where in the log a stream starts, also for reconnecting clients."""

    last_event_id: LastEventId = ""
    cache_buster: CacheBuster = None


class FromQuery(FromSeq):
    """Where in the log to start, and which types of events to show."""

    tail: Annotated[Seq | None, Field(description="Begin with the last so many events; instead of fromSeq.")] = None
    types: Types | None = None

    @model_validator(mode="after")
    def _one_beginning(self) -> Self:
        if self.tail is not None and "from_seq" in self.model_fields_set:
            raise ValueError("tail: give tail or fromSeq, not both")
        return self


class EventsQuery(FromQuery):
    """Which events to read."""

    tail: Annotated[
        Annotated[int, Count(0, 10_000)] | None,
        Field(description="The last so many events; instead of fromSeq."),
    ] = None
    limit: Annotated[
        Annotated[int, Count(1, 10_000)] | None,
        Field(description="Most events on the page. Default: 1000, with tail as many as it says."),
    ] = None


class StreamQuery(FromQuery, FollowQuery):
    """Which events to follow."""


class EquityQuery(Query):
    """The number of points of the equity curve; a sample takes milliseconds, but may miss a spike."""

    points: Annotated[int, Count(2, 5000)] = 500
    sample: Flag = False


class ExportQuery(Query):
    """What to export, and in which format."""

    what: Literal["events", "trades", "equity"]
    format: Literal["ndjson", "csv", "parquet"]
