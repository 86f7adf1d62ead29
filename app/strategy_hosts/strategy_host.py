"""Where a session trades: slots in, events out, whether its strategy runs in this process or in a child."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from app.domain.event import Event
from app.domain.snapshot import InvalidSnapshotError, from_text, to_text
from app.domain.tick import ReplayState, TickDraft, finish_tick
from app.domain.trading.handover import StrategyChain
from app.domain.trading.strategy_runner import SlotView

BREATH_SLOTS = 50
"""Slots computed in one round of the event loop: between two of them others go on, the writer among them."""

_log = logging.getLogger(__name__)


class StrategyHost(Protocol):
    """The traders of one session; `fault` is why a strategy failed, once it has."""

    fault: Exception | None

    async def warm(self, slots: Sequence[SlotView]) -> None:
        """Show the strategies slots from before the range."""

    async def answer(self, slots: Sequence[SlotView]) -> list[list[Event]]:
        """Return what follows from each slot, and less than asked when `fault` came up."""

    async def snapshot(self) -> str | None:
        """Return the traders' state as text; null when the strategy offers none, or one that cannot be kept."""

    async def restore(self, kept: str) -> None:
        """Bring fresh traders to a `snapshot`; raises `InvalidSnapshotError` or `StrategyFailedError`."""

    def close(self) -> None:
        """Give up the session; harmless when done twice."""


class InProcessHost:
    """The traders of a session whose strategies run in this process."""

    def __init__(self, traders: StrategyChain) -> None:
        self._traders = traders
        self.fault: Exception | None = None

    async def warm(self, slots: Sequence[SlotView]) -> None:
        """Show the strategies slots from before the range."""
        for slot in slots:
            self._traders.warm(slot.candles)

    async def answer(self, slots: Sequence[SlotView]) -> list[list[Event]]:
        """Return what follows from each slot, up to the one at which a strategy failed."""
        answers: list[list[Event]] = []
        try:
            for start in range(0, len(slots), BREATH_SLOTS):
                if start:
                    await asyncio.sleep(0)
                self._traders.answer_all(slots[start : start + BREATH_SLOTS], answers)
        except Exception as error:
            self.fault = error
        return answers

    async def snapshot(self) -> str | None:
        """Return the traders' state as text; null when the strategy offers none, or one that cannot be kept."""
        try:
            kept = self._traders.snapshot()
            return None if kept is None else to_text(kept)
        except InvalidSnapshotError as error:
            _log.info("no snapshot: %s", error)
            return None

    async def restore(self, kept: str) -> None:
        """Bring fresh traders to a `snapshot`; raises `InvalidSnapshotError`."""
        try:
            self._traders.restore(from_text(kept))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise InvalidSnapshotError(f"{type(error).__name__}: {error}") from None

    def close(self) -> None:
        """Do nothing: there is nobody to tell."""


async def run_strategies(
    state: ReplayState, desk: StrategyHost | None, drafts: Sequence[TickDraft]
) -> list[list[Event]]:
    """Return the events of slots after each other; raises the strategy's fault when there are none at all.

    A fault behind the first slot stays in `desk.fault`, and what came before it is returned.
    """
    if desk is None:
        return [made.events for made in drafts]
    if desk.fault is not None:
        raise desk.fault
    answers = await desk.answer([made.shown for made in drafts])
    if desk.fault is not None and not answers:
        raise desk.fault
    return [finish_tick(state, made, answer) for made, answer in zip(drafts, answers, strict=False)]
