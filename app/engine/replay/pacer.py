"""Decide when the ticks of one session are due."""

from __future__ import annotations

from app.clock import Clock
from app.domain.session import Pace, Session


class Pacer:
    """Tick k is due at `anchor + k * pause`, so that a late tick never delays the next ones."""

    def __init__(self, clock: Clock, session: Session) -> None:
        self._clock = clock
        self._grid = session.spec.grid
        self.pace: Pace = session.spec.pace
        self.unpaced = self.pace.unpaced
        self._ticks = 0
        self._anchor_ns = self._due_ns = clock.monotonic_ns()

    def set_pace(self, pace: Pace) -> None:
        """Change the pace: the next tick is due one new pause from now."""
        self.pace, self.unpaced = pace, pace.unpaced
        self._ticks = 0
        self._anchor_ns = self._due_ns = self._clock.monotonic_ns()
        self.advance()

    def restart(self) -> None:
        """Keep the pace: the next tick is due one pause from now."""
        self.set_pace(self.pace)

    @property
    def ahead_s(self) -> float:
        """In how many seconds the next tick is due; 0 or less when it is due now or late."""
        return (self._due_ns - self._clock.monotonic_ns()) / 1e9

    @property
    def due_ns(self) -> int:
        """When the next tick is due, on the monotonic clock."""
        return self._due_ns

    def advance(self, ticks: int = 1) -> None:
        """Count ticks as taken."""
        self._ticks += ticks
        if not self.unpaced:
            self._due_ns = self._anchor_ns + self.pace.offset_ns(self._ticks, self._grid)

    def take_back(self, ticks: int) -> None:
        """Uncount ticks that were not computed after all."""
        self.advance(-ticks)

    def drop_delay(self) -> int:
        """Move the anchor so that a late tick is due now; returns by how many ns."""
        late_ns = max(0, self._clock.monotonic_ns() - self._due_ns)
        self._anchor_ns += late_ns
        self._due_ns += late_ns
        return late_ns
