"""Two sessions side by side as answers spell them."""

from __future__ import annotations

from typing import Any, Self
from uuid import UUID

from pydantic.alias_generators import to_camel

from app.domain.session import SETTINGS, Session
from app.engine.session_diff import SessionDiff
from app.web.sim.answers import Answer, SessionAnswer
from app.web.sim.setting_models import Number

_COMPARED = {field.name for field in SETTINGS if field.setting.in_diff} | {"strategy_hash"}


class DiffSide(Answer):
    """One of two sessions at the place where they part: what stands there, null behind the end of its log."""

    session_id: UUID
    status: str
    last_seq: int
    seq: int | None
    event: dict[str, Any] | None


class SettingDiff(Answer):
    """What each of two sessions was asked for; null where it was not."""

    a: Any
    b: Any


class ResultDiff(Answer):
    """A figure of both sessions' statistics, and b less a; null where it has no meaning."""

    a: Number | None
    b: Number | None
    difference: Number | None


class DiffAnswer(Answer):
    """Where what two sessions simulated differs first, counted over simulated events (place null: nowhere).

    `settings` are those that differ, each parameter by itself as `config.name`; `results` are all statistics.
    """

    same: bool
    place: int | None
    a: DiffSide
    b: DiffSide
    settings: dict[str, SettingDiff]
    results: dict[str, ResultDiff]

    @classmethod
    def of(cls, found: SessionDiff) -> Self:
        """Spell a comparison."""
        parting = found.parting
        seq_a, event_a = (parting.seq_a, parting.event_a) if parting else (None, None)
        seq_b, event_b = (parting.seq_b, parting.event_b) if parting else (None, None)
        return cls(
            same=parting is None,
            place=parting.place if parting else None,
            a=_side(found.a, seq_a, event_a),
            b=_side(found.b, seq_b, event_b),
            settings=_differing(_settings(found.a), _settings(found.b)),
            results={
                to_camel(each.figure): ResultDiff(a=each.value_a, b=each.value_b, difference=each.difference)
                for each in found.results
            },
        )


def _side(session: Session, seq: int | None, event: dict[str, Any] | None) -> DiffSide:
    return DiffSide(session_id=session.id, status=session.status, last_seq=session.last_seq, seq=seq, event=event)


def _settings(session: Session) -> dict[str, Any]:
    """Return what a session was asked for under the names a client gives, each parameter by itself."""
    shown = SessionAnswer.of(session).model_dump(mode="json", by_alias=True, include=_COMPARED)
    config = {f"config.{name}": value for name, value in shown.pop("config").items()}
    return {"profileSlug": shown.pop("profileSlug"), **config, **shown}


def _differing(a: dict[str, Any], b: dict[str, Any]) -> dict[str, SettingDiff]:
    names = [name for name in dict.fromkeys([*a, *b]) if a.get(name) != b.get(name)]
    return {name: SettingDiff(a=a.get(name), b=b.get(name)) for name in names}
