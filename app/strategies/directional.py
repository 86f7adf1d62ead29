"""The base of rule-based strategies: a rule returns a direction, this class trades it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple, Protocol

from app.domain.market.candle import Candle
from app.domain.snapshot import keep, put_back
from app.domain.trading.strategy import Direction, Strategy

_SIGN = {"LONG": 1, "SHORT": -1, "EXIT": 0}


class _Turn(NamedTuple):
    """The last change of direction: its sign and orders; `partial` if a cancelled order was partially filled."""

    sign: int
    orders: Sequence[int]
    partial: bool


class Rule(Protocol):
    """Reads one symbol's candles of the base timeframe."""

    def next(self, candle: Candle) -> Direction | None:
        """Return the new direction; None for no change."""

    def indicators(self) -> dict[str, Decimal | float]:
        """Return the indicator values of the last direction."""


class Directional(Strategy):
    """Follows one rule per symbol; with `side` long SHORT means EXIT, with `side` both it reverses at once.

    A reversal is two orders, close and open. Orders that are still live when the direction changes, unfilled or
    partially filled, are cancelled first: the newest direction counts, and new orders replace the rest.
    """

    side: Literal["long", "both"] = "long"
    _label: str = ""
    """The name of a built-in rule in the reasons of signals and orders; it stays even if the class is renamed."""

    def on_start(self) -> None:
        """Create a rule for each symbol."""
        self._rules = {symbol: self.rule() for symbol in self.symbols}
        self._turns: dict[str, _Turn] = {}
        self._frame = self.timeframe
        self._drawn = False

    def rule(self) -> Rule:
        """Return a fresh rule."""
        raise NotImplementedError

    def snapshot(self) -> Any:
        """Return the state of the rules, and the last orders."""
        return [keep(self._rules), {symbol: list(turn) for symbol, turn in self._turns.items()}]

    def restore(self, stored: Any) -> None:
        """Set the state that `snapshot` returned."""
        rules, turns = stored
        self._rules = put_back(self._rules, rules)
        self._turns = {symbol: _Turn(*turn) for symbol, turn in turns.items()}

    def on_candle(self, candle: Candle) -> None:
        """Call the symbol's rule and trade a change of direction."""
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
        if _SIGN[direction] != self._target_sign(symbol):
            self._turn(direction, symbol, rule)

    def _draw(self, symbol: str, rule: Rule) -> None:
        """Plot the rule's indicators; called after each candle if `_drawn` is set."""

    def _target_sign(self, symbol: str) -> int:
        """Return the sign of the position once the last orders are filled."""
        turn = self._pending_turn(symbol)
        return self.positions[symbol].sign if turn is None else turn.sign

    def _pending_turn(self, symbol: str) -> _Turn | None:
        """Return the last change of direction while one of its orders is live."""
        turn = self._turns.get(symbol)
        return turn if turn is not None and any(order.id in turn.orders for order in self.orders) else None

    def _turn(self, direction: Direction, symbol: str, rule: Rule) -> None:
        strategy = type(self)  # A user's subclass of a rule has no label of its own: its class name is used.
        reason = f"{vars(strategy).get('_label') or strategy.__name__} {direction.lower()}"
        self.signal(direction, reason, symbol, **rule.indicators())
        sign, held = _SIGN[direction], self.positions[symbol].sign
        before = self._pending_turn(symbol)
        partial = before is not None and before.partial and held != 0
        for order in self.orders:
            if order.symbol == symbol:
                partial = partial or order.filled != 0
                self.cancel(order.id, reason=reason)
        if sign == held and not partial:
            self._turns[symbol] = _Turn(sign, (), partial=False)
            return
        orders = [self.close(symbol, reason=reason)]
        if sign > 0:
            orders.append(self.buy(symbol, reason=reason))
        elif sign < 0:
            orders.append(self.sell(symbol, reason=reason))
        self._turns[symbol] = _Turn(
            sign, tuple(order_id for order_id in orders if order_id is not None), partial=partial
        )


class Excursion:
    """Remembers in which direction the price went too far; its return ends the trade."""

    def __init__(self) -> None:
        self._sign = 0

    def answer(self, *, too_low: bool, too_high: bool, risen: bool, fallen: bool) -> Direction | None:
        """Return LONG if too low, SHORT if too high, EXIT once the price has risen or fallen back."""
        if too_low or too_high:
            self._sign = 1 if too_low else -1
            return "LONG" if too_low else "SHORT"
        if (self._sign > 0 and risen) or (self._sign < 0 and fallen):
            self._sign = 0
            return "EXIT"
        return None
