"""What a session is asked to do before it pauses by itself, and how far it may hurry."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain.event import Event
from app.domain.session import Session
from app.domain.tick import Slot


class RunLimit:
    """The steps, the time or the event type a session runs up to, and the time it jumps to; times in ms UTC."""

    def __init__(self, session: Session) -> None:
        self._length_ms = session.spec.grid.ms
        self._steps = session.steps_left
        self._until_ms = session.until_ms
        self._until_type = session.until_type
        self.jump_ms: int | None = None
        self.jump(session.jump_ms, session.cursor_ms)

    def jump(self, to_ms: int | None, cursor_ms: int | None) -> None:
        """Hurry to a time; one that was reached before the last tick changes nothing, unless it ends another jump."""
        if to_ms is None:
            return
        if self.jump_ms is not None or cursor_ms is None or cursor_ms + self._length_ms < to_ms:
            self.jump_ms = to_ms

    @property
    def hurried(self) -> bool:
        """Whether ticks follow each other without a pause, whatever the pace: while stepping or jumping."""
        return self._steps is not None or self.jump_ms is not None

    @property
    def open(self) -> bool:
        """Whether nothing is asked for that a slot could end."""
        return self._steps is None and self._until_ms is None and self.jump_ms is None

    def over_before(self, slot: Slot) -> bool:
        """Whether the session is to pause before a slot."""
        return self._until_ms is not None and slot.open_time_ms >= self._until_ms

    def landed_before(self, slot: Slot) -> bool:
        """Whether a jump ends before a slot; from then on the pace holds again."""
        if self.jump_ms is None or slot.open_time_ms < self.jump_ms:
            return False
        self.jump_ms = None
        return True

    def over_after(self, slot: Slot) -> str | None:
        """Count a tick; returns why the session is to pause with it whatever is in it, or null."""
        if self._steps is not None:
            self._steps -= 1
            return "step" if self._steps <= 0 else None
        ends = self._until_ms is not None and slot.open_time_ms + self._length_ms >= self._until_ms
        return "runUntil" if ends else None

    def over_with(self, ticks: Sequence[Sequence[Event]]) -> tuple[int, str | None]:
        """Return after how many ticks of these events the session is to pause, and why; all of them and null if not."""
        if self._until_type is not None:
            for count, events in enumerate(ticks, 1):
                if any(event.type == self._until_type for event in events):
                    return count, "runUntil"
        return len(ticks), None
