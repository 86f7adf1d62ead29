"""The answer of a comparison of two sessions."""

from __future__ import annotations

from typing import Any, Self
from uuid import UUID

from pydantic.alias_generators import to_camel

from app.domain.session import SETTINGS, Session
from app.engine.session_diff import SessionDiff
from app.web.http.models import Answer
from app.web.sim.answers import SessionAnswer
from app.web.sim.setting_models import Number

_COMPARED = {field.name for field in SETTINGS if field.setting.in_diff} | {"strategy_hash"}


class DiffSide(Answer):
    """One of two sessions: its event at the first difference, null if its log ended before."""

    session_id: UUID
    status: str
    last_seq: int
    seq: int | None
    event: dict[str, Any] | None


class SettingDiff(Answer):
    """A setting of both sessions; null if a session does not have it."""

    a: Any
    b: Any


class ResultDiff(Answer):
    """A figure of both sessions' statistics, and b - a; null if undefined."""

    a: Number | None
    b: Number | None
    difference: Number | None


class CommandDiff(Answer):
    """The first command that differs between two logs: its number, and per log its seq and payload, null if absent."""

    command: int
    seq_a: int | None
    seq_b: int | None
    payload_a: dict[str, Any] | None
    payload_b: dict[str, Any] | None


class DiffAnswer(Answer):
    """The first difference of two logs and all differing settings and results.

    `place` is the number of the simulated event, from 1; null if none differs. `settings` are those that differ, with
    each parameter of the strategy as `config.name`; `results` are all statistics. `command` is the command from outside
    that made the logs part; null if none did.
    """

    same: bool
    place: int | None
    a: DiffSide
    b: DiffSide
    command: CommandDiff | None
    settings: dict[str, SettingDiff]
    results: dict[str, ResultDiff]

    @classmethod
    def of(cls, diff: SessionDiff) -> Self:
        """Return the answer of a comparison."""
        first = diff.first_difference
        seq_a, event_a = (first.seq_a, first.event_a) if first else (None, None)
        seq_b, event_b = (first.seq_b, first.event_b) if first else (None, None)
        return cls(
            same=first is None,
            place=first.place if first else None,
            a=_side(diff.a, seq_a, event_a),
            b=_side(diff.b, seq_b, event_b),
            command=None if diff.command is None else CommandDiff(**diff.command._asdict()),
            settings=_differing(settings_of(diff.a), settings_of(diff.b)),
            results={
                to_camel(row.figure): ResultDiff(a=row.value_a, b=row.value_b, difference=row.difference)
                for row in diff.results
            },
        )


def _side(session: Session, seq: int | None, event: dict[str, Any] | None) -> DiffSide:
    return DiffSide(session_id=session.id, status=session.status, last_seq=session.last_seq, seq=seq, event=event)


def settings_of(session: Session) -> dict[str, Any]:
    """Return the settings of a session by their API names, each parameter of the strategy as `config.name`."""
    values = SessionAnswer.of(session).model_dump(mode="json", by_alias=True, include=_COMPARED)
    config = {f"config.{name}": value for name, value in values.pop("config").items()}
    return {"profileSlug": values.pop("profileSlug"), **config, **values}


def _differing(a: dict[str, Any], b: dict[str, Any]) -> dict[str, SettingDiff]:
    names = [name for name in dict.fromkeys([*a, *b]) if a.get(name) != b.get(name)]
    return {name: SettingDiff(a=a.get(name), b=b.get(name)) for name in names}
