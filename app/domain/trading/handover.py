"""Which strategy trades when: a fork takes over its parent's account and continues with its own strategy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from app.domain.event import Event
from app.domain.market.candle import Candle
from app.domain.trading.command import Command
from app.domain.trading.settings import BrokerConfig
from app.domain.trading.strategy_runner import SlotView, StrategyRunner
from app.errors import BadInputError

NO_ACCOUNT = "profileSlug: none has no account; create the session with the profile manual, or with a strategy"


class Stage(NamedTuple):
    """A strategy with its parameters and broker config, and where it ends: behind a cursor and a number of commands.

    `to_cursor_ms` (ms UTC) is null if it ends before the first slot; both are null if it has no end.
    """

    slug: str
    config: dict[str, Any]
    broker_config: BrokerConfig
    to_cursor_ms: int | None = None
    to_command: int | None = None

    def ends_at(self, cursor_ms: int | None, commands: int) -> bool:
        """Whether it has ended once the log has this cursor and so many commands."""
        if (self.to_cursor_ms is None and self.to_command is None) or commands < (self.to_command or 0):
            return False
        return self.to_cursor_ms is None or (cursor_ms is not None and cursor_ms >= self.to_cursor_ms)

    def same_strategy(self, other: Stage) -> bool:
        """Whether the other stage has the same strategy and parameters; its trading settings may differ."""
        return (self.slug, self.config) == (other.slug, other.config)


class StrategyChain:
    """The runner of each stage, null if it has no strategy; later stages see every candle, but do not trade yet."""

    def __init__(self, stages: Sequence[Stage], runners: Sequence[StrategyRunner | None]) -> None:
        self._stages = list(stages)
        self._runners = list(runners)
        self._cursor_ms: int | None = None
        self._commands = 0

    def warm(self, candles: Sequence[Candle]) -> None:
        """Show all strategies the candles of a slot before the range."""
        for runner in self._runners:
            if runner is not None:
                runner.warm(candles)

    def answer(self, slot: SlotView) -> list[Event]:
        """Return the events of the present stage's strategy for a slot."""
        runner = self._runners[0]
        if len(self._stages) > 1 and slot.candles:
            self._warm_later_stages(slot.candles)
        events = [] if runner is None else runner.answer(slot)
        self._cursor_ms = slot.open_time_ms
        self._advance()
        return events

    def run_command(self, ts: int, number: int, command: Command) -> list[Event]:
        """Return what the present stage's broker makes of the command of a number; `ts` is the last slot's close."""
        runner = self._runners[0]
        if runner is None:
            raise BadInputError(NO_ACCOUNT)
        events = runner.run_command(ts, command)
        self._commands = number
        self._advance()
        return events

    def answer_all(self, slots: Sequence[SlotView], answers: list[list[Event]]) -> None:
        """Append the events of each slot to `answers`, see `StrategyRunner.answer_all`."""
        runner = self._runners[0]
        if runner is None or len(self._stages) > 1:
            for slot in slots:
                answers.append(self.answer(slot))  # noqa: PERF401 - if one raises, the answers before it stay
        else:
            runner.answer_all(slots, answers)

    def snapshot(self) -> dict[str, Any] | None:
        """Return the state of the last stage; null before that stage, or if its strategy has no snapshot."""
        return self._runners[0].snapshot() if len(self._stages) == 1 and self._runners[0] is not None else None

    def restore(self, stored: dict[str, Any]) -> None:
        """Bring a fresh chain to the state of a `snapshot`."""
        del self._stages[:-1], self._runners[:-1]
        if self._runners[0] is not None:
            self._runners[0].restore(stored)

    def _warm_later_stages(self, candles: Sequence[Candle]) -> None:
        for index, runner in enumerate(self._runners[1:], 1):
            if runner is not None and not self._stages[index - 1].same_strategy(self._stages[index]):
                runner.warm(candles)

    def _advance(self) -> None:
        """Advance to the stage that trades after the present cursor and command."""
        while self._stages[0].ends_at(self._cursor_ms, self._commands):
            before, after = self._runners[0], self._next_runner()
            if before is not None and after is not None and after is not before:
                after.inherit(before)
            del self._stages[0], self._runners[0]
            self._runners[0] = after

    def _next_runner(self) -> StrategyRunner | None:
        """Return the runner of the next stage; the same strategy continues as the same object."""
        before, after = self._runners[:2]
        if before is None or after is None or not self._stages[0].same_strategy(self._stages[1]):
            return after
        if self._stages[0].broker_config == self._stages[1].broker_config:
            return before
        return StrategyRunner(before.strategy, self._stages[1].broker_config)
