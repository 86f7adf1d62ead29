"""Who trades in a session, turn by turn: a fork goes on with its parent's account and its own strategy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from app.domain.event import Event
from app.domain.market.candle import Candle
from app.domain.trading.settings import BrokerConfig
from app.domain.trading.strategy_runner import SlotView, StrategyRunner


class Stage(NamedTuple):
    """Which strategy trades, with which parameters, on which terms, and up to which cursor (ms UTC; null: for good)."""

    slug: str
    config: dict[str, Any]
    broker_config: BrokerConfig
    to_cursor_ms: int | None = None

    def same_strategy(self, other: Stage) -> bool:
        """Whether the same strategy goes on, if on other terms."""
        return (self.slug, self.config) == (other.slug, other.config)


class StrategyChain:
    """The trader of each turn, null where there are candles only; those to come see every candle and give no orders."""

    def __init__(self, turns: Sequence[Stage], traders: Sequence[StrategyRunner | None]) -> None:
        self._turns = list(turns)
        self._traders = list(traders)

    def warm(self, candles: Sequence[Candle]) -> None:
        """Show all of them the candles of a slot before the range."""
        for trader in self._traders:
            if trader is not None:
                trader.warm(candles)

    def answer(self, shown: SlotView) -> list[Event]:
        """Return what the trader of the present turn makes of a slot."""
        trader = self._traders[0]
        if len(self._turns) > 1 and shown.candles:
            self._show(shown.candles)
        events = [] if trader is None else trader.answer(shown)
        self._move(shown.open_time_ms)
        return events

    def answer_all(self, slots: Sequence[SlotView], answers: list[list[Event]]) -> None:
        """Append what follows from each slot, see `StrategyRunner.answer_all`."""
        trader = self._traders[0]
        if trader is None or self._turns[0].to_cursor_ms is not None:
            for shown in slots:
                answers.append(self.answer(shown))  # noqa: PERF401 - answers are kept up to the one that raises
        else:
            trader.answer_all(slots, answers)

    def snapshot(self) -> dict[str, Any] | None:
        """Return the state of the last turn's trader; null before its turn, or when it offers none."""
        return self._traders[0].snapshot() if len(self._turns) == 1 and self._traders[0] is not None else None

    def restore(self, kept: dict[str, Any]) -> None:
        """Let fresh traders go on where `snapshot` was taken."""
        del self._turns[:-1], self._traders[:-1]
        if self._traders[0] is not None:
            self._traders[0].restore(kept)

    def _show(self, candles: Sequence[Candle]) -> None:
        for place, trader in enumerate(self._traders[1:], 1):
            if trader is not None and not self._turns[place - 1].same_strategy(self._turns[place]):
                trader.warm(candles)

    def _move(self, cursor_ms: int) -> None:
        """Let the next ones have their turn behind a cursor."""
        while (end_ms := self._turns[0].to_cursor_ms) is not None and cursor_ms >= end_ms:
            heir, before = self._heir(), self._traders[0]
            if heir is not None and before is not None and heir is not before:
                heir.take_over(before)
            del self._turns[0], self._traders[0]
            self._traders[0] = heir

    def _heir(self) -> StrategyRunner | None:
        before, after = self._traders[:2]
        if before is None or after is None or not self._turns[0].same_strategy(self._turns[1]):
            return after
        if self._turns[0].broker_config == self._turns[1].broker_config:
            return before
        return StrategyRunner(before.strategy, self._turns[1].broker_config)
