"""Decide how often a session may be rebuilt from its log after errors before it fails."""

from __future__ import annotations

from collections import defaultdict

from app.engine.replay.writer import SessionLostError
from app.errors import Recovery, SimError, StrategyFailedError, StrategyProcessLostError

MAX_FAILURES = 3
"""How often a strategy's process may die, or the log refuse a tick, at the same candle before the session fails."""


class RestartPolicy:
    """Counts the errors of one session by kind and candle.

    `own_process` says whether the strategy must continue in a process that it shares with no other session.
    """

    def __init__(self) -> None:
        self.own_process = False
        self._failures: defaultdict[str, list[int | None]] = defaultdict(list)

    def record(self, error: SimError | SessionLostError, cursor_ms: int | None) -> None:
        """Record the error that ended a run of the session; raises `SimError` if the session must not start again."""
        if error.recovery is Recovery.ISOLATE:
            self.own_process = True
        elif isinstance(error, StrategyProcessLostError):
            self._record_lost_process(error.suspect, cursor_ms)
        elif error.recovery is Recovery.REBUILD and self._too_often("refused", cursor_ms):
            raise SimError(f"The log refused the tick after the candle at {cursor_ms} {MAX_FAILURES} times.")

    def _record_lost_process(self, suspect: str | None, cursor_ms: int | None) -> None:
        """Record the end of a strategy's process; `suspect` says how it ended if it was running this session."""
        self.own_process = self.own_process or suspect is not None
        if not self._too_often("idle" if suspect is None else "running", cursor_ms):
            return
        if not self.own_process:  # Another session of that process may be the cause; a process of its own will show it.
            self.own_process = True
            self._failures["idle"].clear()
            return
        how = "while idle" if suspect is None else f"({suspect})"
        raise StrategyFailedError(f"The strategy's process died {MAX_FAILURES} times at the same candle {how}.")

    def _too_often(self, what: str, cursor_ms: int | None) -> bool:
        """Count one more failure at a candle and forget those at other candles; return whether there are too many."""
        failures = self._failures[what]
        failures[:] = [*(at_ms for at_ms in failures if at_ms == cursor_ms), cursor_ms]
        return len(failures) >= MAX_FAILURES
