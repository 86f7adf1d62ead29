"""When the ticks of one session are due."""

from __future__ import annotations

from app.domain.session import Pace, Session
from app.engine.clock import Clock


class Pacer:
    """When tick k is due: `anchor + k * pause`, so that a late tick never shifts the ones after it."""

    def __init__(self, clock: Clock, session: Session) -> None:
        self._clock = clock
        self._grid = session.spec.grid
        self.pace: Pace = session.spec.pace
        self._unpaced = self.pace.unpaced
        self._ticks = 0
        self._anchor_ns = self.due_ns = clock.monotonic_ns()

    def set(self, pace: Pace) -> None:
        """Change the pace: the next tick comes one new pause from now."""
        self.pace, self._unpaced = pace, pace.unpaced
        self._ticks = 0
        self._anchor_ns = self.due_ns = self._clock.monotonic_ns()
        self.advance()

    @property
    def ahead_s(self) -> float:
        """How long the next tick is still ahead, in seconds; 0 or less when it is due."""
        return (self.due_ns - self._clock.monotonic_ns()) / 1e9

    def advance(self, ticks: int = 1) -> None:
        """Count ticks as given out: `due_ns` is when the next one is due, on the monotonic clock."""
        self._ticks += ticks
        if not self._unpaced:
            self.due_ns = self._anchor_ns + self.pace.offset_ns(self._ticks, self._grid)

    def take_back(self, ticks: int) -> None:
        """Count ticks as not given out after all."""
        self.advance(-ticks)

    def excuse(self) -> int:
        """Move the anchor so that the next tick is due now if it is late; returns by how many ns."""
        late_ns = max(0, self._clock.monotonic_ns() - self.due_ns)
        self._anchor_ns += late_ns
        self.due_ns += late_ns
        return late_ns
