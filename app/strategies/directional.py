"""What rule-based strategies share: a rule gives a direction, this turns it into signals and orders."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal, Protocol

from app.domain.candle import Candle
from app.domain.snapshot import keep, put_back
from app.domain.strategy import Direction, Strategy

_SIGN = {"LONG": 1, "SHORT": -1, "EXIT": 0}


class Rule(Protocol):
    """Reads one symbol's candles of the base timeframe."""

    def next(self, candle: Candle) -> Direction | None:
        """Return what to be from here on, None to change nothing."""

    def indicators(self) -> dict[str, Decimal | float]:
        """Return what the last answer was read from."""


class Directional(Strategy):
    """Follows one rule per symbol; with `side` long SHORT means EXIT, with both it reverses at once.

    A reversal is two orders, close and open. While an order of the symbol is still live no other is given.
    """

    side: Literal["long", "both"] = "long"

    def on_start(self) -> None:
        """Make a rule for each symbol."""
        self._rules = {symbol: self.rule() for symbol in self.symbols}
        self._frame = self.timeframe
        self._drawn = False

    def rule(self) -> Rule:
        """Return a fresh rule."""
        raise NotImplementedError

    def snapshot(self) -> Any:
        """Return what the rules remember."""
        return keep(self._rules)

    def restore(self, kept: Any) -> None:
        """Let the rules remember it again."""
        self._rules = put_back(self._rules, kept)

    def on_candle(self, candle: Candle) -> None:
        """Ask the symbol's rule and act on a change."""
        if candle.timeframe != self._frame:
            return
        rule = self._rules[candle.symbol]
        answer = rule.next(candle)
        if answer is not None:
            self._change(answer, candle.symbol, rule)
        if self._drawn:
            self._draw(candle.symbol, rule)

    def _change(self, answer: Direction, symbol: str, rule: Rule) -> None:
        direction: Direction = "EXIT" if answer == "SHORT" and self.side == "long" else answer
        if _SIGN[direction] != self.positions[symbol].sign and not self._waiting(symbol):
            self._turn(direction, symbol, rule)

    def _draw(self, symbol: str, rule: Rule) -> None:
        """Plot what the rule goes by; asked for behind each candle where `_drawn` is set, as a call costs its time."""

    def _waiting(self, symbol: str) -> bool:
        return any(order.symbol == symbol for order in self.orders)

    def _turn(self, direction: Direction, symbol: str, rule: Rule) -> None:
        reason = f"{type(self).__name__} {direction.lower()}"
        self.signal(direction, reason, symbol, **rule.indicators())
        self.close(symbol, reason=reason)
        if direction == "LONG":
            self.buy(symbol, reason=reason)
        elif direction == "SHORT":
            self.sell(symbol, reason=reason)


class Excursion:
    """Remembers which way the price had gone too far, and so what ends a trade that bets on its return."""

    def __init__(self) -> None:
        self._sign = 0

    def answer(self, *, too_low: bool, too_high: bool, risen: bool, fallen: bool) -> Direction | None:
        """Return LONG when too low, SHORT when too high, EXIT once risen or fallen back."""
        if too_low or too_high:
            self._sign = 1 if too_low else -1
            return "LONG" if too_low else "SHORT"
        if (self._sign > 0 and risen) or (self._sign < 0 and fallen):
            self._sign = 0
            return "EXIT"
        return None
