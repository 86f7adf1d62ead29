"""What rule-based strategies share: a rule gives a direction, this turns it into signals and orders."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple, Protocol

from app.domain.market.candle import Candle
from app.domain.snapshot import keep, put_back
from app.domain.trading.strategy import Direction, Strategy

_SIGN = {"LONG": 1, "SHORT": -1, "EXIT": 0}


class _Turn(NamedTuple):
    """The last change of direction: where to, by which orders; `partial` when what is held is a part of what it was."""

    sign: int
    orders: Sequence[int]
    partial: bool


class Rule(Protocol):
    """Reads one symbol's candles of the base timeframe."""

    def next(self, candle: Candle) -> Direction | None:
        """Return what to be from here on, None to change nothing."""

    def indicators(self) -> dict[str, Decimal | float]:
        """Return what the last answer was read from."""


class Directional(Strategy):
    """Follows one rule per symbol; with `side` long SHORT means EXIT, with both it reverses at once.

    A reversal is two orders, close and open. Orders that are still live when the rule turns, since no candle could fill
    them or not whole, are cancelled first: the newest direction counts, and what a partial fill has left is replaced.
    """

    side: Literal["long", "both"] = "long"
    _label: str = ""
    """What a built-in rule is called in the reasons of signals and orders, whatever its class is called."""

    def on_start(self) -> None:
        """Make a rule for each symbol."""
        self._rules = {symbol: self.rule() for symbol in self.symbols}
        self._turns: dict[str, _Turn] = {}
        self._frame = self.timeframe
        self._drawn = False

    def rule(self) -> Rule:
        """Return a fresh rule."""
        raise NotImplementedError

    def snapshot(self) -> Any:
        """Return what the rules remember, and which orders were given last."""
        return [keep(self._rules), {symbol: list(turn) for symbol, turn in self._turns.items()}]

    def restore(self, kept: Any) -> None:
        """Let it be remembered again."""
        rules, turns = kept
        self._rules = put_back(self._rules, rules)
        self._turns = {symbol: _Turn(*turn) for symbol, turn in turns.items()}

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
        if _SIGN[direction] != self._heading(symbol):
            self._turn(direction, symbol, rule)

    def _draw(self, symbol: str, rule: Rule) -> None:
        """Plot what the rule goes by; asked for behind each candle where `_drawn` is set, as a call costs its time."""

    def _heading(self, symbol: str) -> int:
        """Return the sign of the position, or of what the last orders are still to make of it."""
        turn = self._under_way(symbol)
        return self.positions[symbol].sign if turn is None else turn.sign

    def _under_way(self, symbol: str) -> _Turn | None:
        """Return the last turn as long as an order of it is live."""
        turn = self._turns.get(symbol)
        return turn if turn is not None and any(order.id in turn.orders for order in self.orders) else None

    def _turn(self, direction: Direction, symbol: str, rule: Rule) -> None:
        strategy = type(self)  # A class that somebody derives from a rule has no label, but its own name.
        reason = f"{vars(strategy).get('_label') or strategy.__name__} {direction.lower()}"
        self.signal(direction, reason, symbol, **rule.indicators())
        sign, held = _SIGN[direction], self.positions[symbol].sign
        before = self._under_way(symbol)
        partial = before is not None and before.partial and held != 0
        for order in self.orders:
            if order.symbol == symbol:
                partial = partial or order.filled != 0
                self.cancel(order.id, reason=reason)
        if sign == held and not partial:
            self._turns[symbol] = _Turn(sign, (), partial=False)
            return
        given = [self.close(symbol, reason=reason)]
        if sign > 0:
            given.append(self.buy(symbol, reason=reason))
        elif sign < 0:
            given.append(self.sell(symbol, reason=reason))
        self._turns[symbol] = _Turn(sign, tuple(each for each in given if each is not None), partial=partial)


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
