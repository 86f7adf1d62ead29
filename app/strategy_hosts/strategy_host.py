"""Where a session's strategies run, in this process or in a strategy process: slots in, events out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Protocol

from app.domain.event import Event
from app.domain.snapshot import InvalidSnapshotError, from_text, to_text
from app.domain.tick import ReplayState, TickDraft, finish_tick
from app.domain.trading.command import Command
from app.domain.trading.handover import NO_ACCOUNT, StrategyChain
from app.domain.trading.strategy_runner import SlotView
from app.errors import BadInputError, NotOpenError, SimError, StrategyFailedError
from app.strategy_hosts.slot_size import require_small_slot
from app.strategy_hosts.strategy_error import details, last_line

SLOTS_PER_ROUND = 50
"""Slots computed in one round of the event loop; between rounds other tasks run, for example the writer."""

_log = logging.getLogger(__name__)


class StrategyHost(Protocol):
    """The strategies of one session, with their brokers and accounts; `error` is the error of a failed strategy."""

    error: Exception | None

    async def warm_up(self, slots: Sequence[SlotView]) -> None:
        """Call the strategies with slots before the range."""

    async def run_slots(self, slots: Sequence[SlotView]) -> list[list[Event]]:
        """Return the events of each slot; fewer lists than slots if a strategy failed (see `error`)."""

    async def run_command(self, ts: int, number: int, command: Command) -> list[Event]:
        """Return what the broker makes of a command after the last slot; `number` is its number in the session."""

    async def snapshot(self) -> str | None:
        """Return the state as text; null if a strategy offers none, or one that cannot be stored."""

    async def restore(self, snapshot: str) -> None:
        """Set a new host to a `snapshot`; raises `InvalidSnapshotError` or `StrategyFailedError`."""

    def close(self) -> None:
        """Close the session; a second call is harmless."""


class InProcessHost:
    """Runs a session's strategies in this process."""

    def __init__(self, strategies: StrategyChain, max_slot_bytes: int = 1 << 20, *, own: bool = False) -> None:
        """Host built-in strategies, or with `own` those of the program's user, whose errors name their place."""
        self._strategies = strategies
        self._max_slot_bytes = max_slot_bytes
        self._own = own
        self.error: Exception | None = None

    async def warm_up(self, slots: Sequence[SlotView]) -> None:
        """Call the strategies with slots before the range."""
        for number, slot in enumerate(slots):
            try:
                self._strategies.warm(slot.candles)
            except Exception as error:
                if not self._own:
                    raise
                raise failure(error, slots[number:]) from error

    async def run_slots(self, slots: Sequence[SlotView]) -> list[list[Event]]:
        """Return the events of each slot, up to the one at which a strategy failed."""
        answers: list[list[Event]] = []
        try:
            for start in range(0, len(slots), SLOTS_PER_ROUND):
                if start:
                    await asyncio.sleep(0)
                self._strategies.answer_all(slots[start : start + SLOTS_PER_ROUND], answers)
                self._require_small(answers, start)
        except Exception as error:
            self.error = failure(error, slots[len(answers) :]) if self._own else error
        return answers

    def _require_small(self, answers: list[list[Event]], start: int) -> None:
        """Keep only the answers before the first one that is too large; then raises `StrategyFailedError`."""
        for index in range(start, len(answers)):
            try:
                require_small_slot(answers[index], self._max_slot_bytes)
            except StrategyFailedError:
                del answers[index:]
                raise

    async def run_command(self, ts: int, number: int, command: Command) -> list[Event]:
        """Return what the broker makes of a command."""
        return self._strategies.run_command(ts, number, command)

    async def snapshot(self) -> str | None:
        """Return the state as text; null if a strategy offers none, or one that cannot be stored."""
        try:
            snapshot = self._strategies.snapshot()
            return None if snapshot is None else to_text(snapshot)
        except InvalidSnapshotError as error:
            _log.info("no snapshot: %s", error)
            return None

    async def restore(self, snapshot: str) -> None:
        """Set a new host to a `snapshot`; raises `InvalidSnapshotError`."""
        try:
            self._strategies.restore(from_text(snapshot))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise InvalidSnapshotError(f"{type(error).__name__}: {error}") from None

    def close(self) -> None:
        """Do nothing: there is no process to notify."""


def failure(error: Exception, unanswered: Sequence[SlotView]) -> Exception:
    """Return the error of a strategy with its place in the strategy's code, and the candle it was called with."""
    if isinstance(error, SimError) and not isinstance(error, StrategyFailedError):
        return error
    found: dict[str, Any] = {**details(error)}
    if unanswered:
        found["candleMs"] = unanswered[0].open_time_ms
    failed = StrategyFailedError(last_line(error), details=found)
    failed.__cause__ = error
    return failed


async def run_strategies(
    state: ReplayState, host: StrategyHost | None, drafts: Sequence[TickDraft]
) -> list[list[Event]]:
    """Return all events of slots, one list per slot; raises the strategy's error if it failed at the first slot.

    An error at a later slot stays in `host.error`; then the events of the slots before it are returned.
    """
    if host is None:
        return [draft.events for draft in drafts]
    if host.error is not None:
        raise host.error
    answers = await host.run_slots([draft.view for draft in drafts])
    if host.error is not None and not answers:
        raise host.error
    return [finish_tick(state, draft, answer) for draft, answer in zip(drafts, answers, strict=False)]


async def run_command(state: ReplayState, host: StrategyHost | None, command: Command) -> list[Event]:
    """Return what the broker makes of the next command, and count it in `state`.

    Raises `BadInputError` without an account; `NotOpenError`, with nothing changed, if no open order has the id.
    """
    if host is None:
        raise BadInputError(NO_ACCOUNT)
    events = await host.run_command(state.command_ts, state.commands + 1, command)
    if not events and "orderId" in command.args:
        raise NotOpenError(f"Order {command.args['orderId']} is not open.")
    state.count_command()
    return events
