"""How the command line shows sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.cli import show
from app.domain.session import Session
from app.web.replies import SessionAnswer


def described(session: Session) -> dict[str, Any]:
    """Spell a session as the API does."""
    return SessionAnswer.of(session).model_dump(mode="json", by_alias=True)


def tell(session: Session, json: bool) -> None:
    """Print one session in full."""
    if json:
        show.as_json(described(session))
        return
    spec = session.spec
    show.facts(
        (
            ("id", session.id),
            ("name", spec.name),
            ("tags", ", ".join(spec.tags)),
            ("status", session.status),
            ("error", session.error),
            ("candles", f"{market(session)}, profile {spec.profile_slug}"),
            ("range", f"{show.utc(spec.start_ms)} to {show.utc(spec.end_ms) or 'no end'}"),
            ("pace", _pace(session)),
            ("gaps", spec.gap_policy),
            ("cursor", show.utc(session.cursor_ms)),
            ("done", _done(session)),
            ("last seq", session.last_seq),
            ("digest", session.digest),
            ("runner", session.runner),
        )
    )


def tell_all(sessions: Sequence[Session], json: bool) -> None:
    """Print sessions, one a line."""
    if json:
        show.as_json([described(each) for each in sessions])
        return
    rows = (
        (s.id, s.status, market(s), show.utc(s.cursor_ms), _done(s), s.last_seq, s.spec.name or "") for s in sessions
    )
    show.table(("id", "status", "candles", "cursor", "done", "last seq", "name"), rows, right=("done", "last seq"))


def market(session: Session) -> str:
    """Name what a session is about: symbols, timeframe and venue."""
    spec = session.spec
    return f"{' '.join(spec.symbols)} {spec.timeframe} of {spec.venue}"


def _pace(session: Session) -> str:
    pace = session.spec.pace
    if pace.speed is not None:
        return f"speed {pace.speed}"
    return "unpaced" if pace.unpaced else f"{pace.ms:,} ms per candle"


def _done(session: Session) -> str:
    progress = session.progress()
    return "" if progress is None else f"{progress['pct']}%"
