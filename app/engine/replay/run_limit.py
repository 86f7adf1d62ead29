"""Decide how far a session runs before it pauses by itself, and up to which time it ignores its pace."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain.event import Event
from app.domain.session import Session
from app.domain.tick import Slot


class RunLimit:
    """The steps, the time or the event type a session runs up to, and the time it jumps to; times in ms UTC."""

    def __init__(self, session: Session) -> None:
        self._slot_ms = session.spec.grid.ms
        self._steps_left = session.steps_left
        self._until_ms = session.until_ms
        self.until_type = session.until_type
        """The event type after which the session pauses."""
        self._jump_ms: int | None = None
        self.start_jump(session.jump_ms, session.cursor_ms)

    def start_jump(self, to_ms: int | None, cursor_ms: int | None) -> None:
        """Ignore the pace up to a time; a time that the cursor has reached only ends the present jump."""
        if to_ms is None:
            return
        if self._jump_ms is not None or cursor_ms is None or cursor_ms + self._slot_ms < to_ms:
            self._jump_ms = to_ms

    def end_jump(self) -> None:
        """Continue at the session's pace."""
        self._jump_ms = None

    @property
    def fast_forward(self) -> bool:
        """Whether ticks ignore the pace: during a step or a jump."""
        return self._steps_left is not None or self._jump_ms is not None

    @property
    def is_set(self) -> bool:
        """Whether a slot by itself may end the run or a jump."""
        return self.fast_forward or self._until_ms is not None

    def ends_before(self, slot: Slot) -> bool:
        """Whether the run or the present jump ends before a slot."""
        return self.reached_before(slot) or self.jump_done(slot)

    def reached_before(self, slot: Slot) -> bool:
        """Whether the session pauses before a slot."""
        return self._until_ms is not None and slot.open_time_ms >= self._until_ms

    def jump_done(self, slot: Slot) -> bool:
        """Whether the present jump ends before a slot."""
        return self._jump_ms is not None and slot.open_time_ms >= self._jump_ms

    def reached_with(self, slot: Slot) -> str | None:
        """Count a tick; return the reason if the session pauses with it, whatever its events, or null."""
        if self._steps_left is not None:
            self._steps_left -= 1
            return "step" if self._steps_left <= 0 else None
        reached = self._until_ms is not None and slot.open_time_ms + self._slot_ms >= self._until_ms
        return "runUntil" if reached else None

    def reached_at(self, ticks: Sequence[Sequence[Event]]) -> int | None:
        """Return the number of ticks up to the first with the event type to pause at; null if none has it."""
        if self.until_type is None:
            return None
        counts = (count for count, events in enumerate(ticks, 1) if any(e.type == self.until_type for e in events))
        return next(counts, None)
