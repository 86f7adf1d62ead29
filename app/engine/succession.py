"""Who trades in a session, stretch by stretch: a fork goes on with its parent's account and its own strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.db.pool import Database
from app.domain.candle import Candle
from app.domain.session import Session, SessionSpec
from app.domain.trader import Trader
from app.engine.desk import new_trader


class Succession:
    """The trader of each stretch; those to come are shown every candle, with their orders ignored."""

    def __init__(self, specs: Sequence[SessionSpec], ends: Sequence[int], traders: Sequence[Trader | None]) -> None:
        self._specs = list(specs)
        self._ends = list(ends)
        self._traders = list(traders)

    @property
    def trader(self) -> Trader | None:
        """The trader of the present stretch."""
        return self._traders[0]

    def show(self, candles: Sequence[Candle]) -> None:
        """Let those to come look at a slot's candles."""
        for place, trader in enumerate(self._traders[1:], 1):
            if trader is not None and not self._same_strategy(place):
                trader.warm(candles)

    def move(self, cursor_ms: int | None) -> Trader | None:
        """Return the trader from behind a cursor on."""
        while self._ends and cursor_ms is not None and cursor_ms >= self._ends[0]:
            heir, before = self._heir(), self._traders[0]
            if heir is not None and before is not None and heir is not before:
                heir.take_over(before)
            self._ends.pop(0)
            self._specs.pop(0)
            self._traders.pop(0)
            self._traders[0] = heir
        return self.trader

    def _heir(self) -> Trader | None:
        before, after = self._traders[:2]
        if before is None or after is None or not self._same_strategy(1):
            return after
        if self._specs[0].terms == self._specs[1].terms:
            return before
        return Trader(before.strategy, self._specs[1].desk_terms)

    def _same_strategy(self, place: int) -> bool:
        before, after = self._specs[place - 1], self._specs[place]
        return (before.profile_slug, before.config) == (after.profile_slug, after.config)


async def succession(database: Database, session: Session) -> Succession:
    """Return the traders of a session's stretches, each before its first slot and warmed up."""
    past = [stretch for stretch in session.lineage if stretch.to_cursor_ms is not None]
    specs = [
        replace(session.spec, profile_slug=each.profile_slug, config=each.config, terms=each.terms) for each in past
    ]
    specs.append(session.spec)
    traders = [await new_trader(database, spec) for spec in specs]
    return Succession(specs, [each.to_cursor_ms for each in past if each.to_cursor_ms is not None], traders)
