"""How the command line prints sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.cli import output
from app.cli.report.failure import location_lines, short_location
from app.domain.session import Session
from app.web.sim.answers import SessionAnswer


def session_to_json(session: Session) -> dict[str, Any]:
    """Return a session as the API answers it."""
    return SessionAnswer.of(session).model_dump(mode="json", by_alias=True)


def print_session(session: Session, json: bool) -> None:
    """Print one session in full."""
    if json:
        output.as_json(session_to_json(session))
        return
    spec = session.spec
    output.facts(
        (
            ("id", session.id),
            ("name", spec.name),
            ("tags", ", ".join(spec.tags)),
            ("status", session.status),
            ("error", session.error),
            *_failure(session),
            ("candles", f"{market(session)}, profile {spec.profile_slug}"),
            ("range", f"{output.utc(spec.start_ms)} to {output.utc(spec.end_ms) or 'no end'}"),
            ("pace", session.spec.pace.text),
            ("gaps", spec.gap_policy),
            ("cursor", output.utc(session.cursor_ms)),
            ("done", _done(session)),
            ("checks", _checks(session)),
            ("waits", session.waiting and session.waiting.text),
            ("last seq", session.last_seq),
            ("digest", session.digest),
            ("runner", session.runner),
        )
    )


def print_sessions(sessions: Sequence[Session], json: bool, none: str = "There are no sessions.") -> None:
    """Print sessions, one a line; where there are none, that sentence."""
    if json:
        output.as_json([session_to_json(session) for session in sessions])
        return
    rows = (
        (s.id, _status(s), market(s), output.utc(s.cursor_ms), _done(s), s.last_seq, s.spec.name or "")
        for s in sessions
    )
    columns = ("id", "status", "candles", "cursor", "done", "last seq", "name")
    output.table(columns, rows, right=("done", "last seq"), none=none)


def _status(session: Session) -> str:
    """Return the status; of a failed session with the place in its strategy, or the error."""
    if session.error is None:
        return session.status
    return f"{session.status}: {short_location(session.error_details) or session.error[:60]}"


def _failure(session: Session) -> list[tuple[str, str]]:
    """Return where in its strategy, and at which candle, a session failed."""
    return [("", line.strip()) for line in location_lines(session.error_details)] if session.error else []


def market(session: Session) -> str:
    """Return the symbols, timeframe and venue of a session as text."""
    spec = session.spec
    return f"{' '.join(spec.symbols)} {spec.timeframe} of {spec.venue}"


def _checks(session: Session) -> str | None:
    """Return how far a session is recomputed with the changed code of its strategy."""
    checking = (session.progress() or {}).get("checking")
    return checking and f"recomputed with changed code: {checking['done']:,} of {checking['total']:,} slots"


def _done(session: Session) -> str:
    progress = session.progress()
    if session.waiting is not None:
        return "waiting"
    return "" if progress is None or progress["pct"] is None else f"{progress['pct']}%"
