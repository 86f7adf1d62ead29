"""Funding and interest: what holding positions costs at fixed times, whatever is traded.

Funding is due every 8 hours from 00:00 UTC, interest every day at 00:00 UTC. What falls between two slots counts for
the position held there, at the last close; what falls into a slot or on its end counts at its close. All arithmetic
needs the `EXACT` context.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.domain import event
from app.domain.event import Event
from app.domain.trading.account import ZERO, Account
from app.domain.trading.settings import BASIS_POINT, BrokerConfig

FUNDING_MS = 8 * 3_600_000
DAY_MS = 86_400_000


class CarryingCosts:
    """Charges an account funding and interest up to a time; `charged_ms` is the last time that was charged."""

    def __init__(self, config: BrokerConfig, charged_ms: int | None = None) -> None:
        self.charged_ms = charged_ms
        self._funding = config.funding_bps * BASIS_POINT
        self._interest = config.borrow_bps_per_day * BASIS_POINT
        self.active = bool(self._funding or self._interest)

    def charge(self, account: Account, until_ms: int, ts: int) -> Iterator[Event]:
        """Charge what is due after the last charge and until a time, and yield the events, at simulated time `ts`."""
        after_ms, self.charged_ms = self.charged_ms, until_ms
        if after_ms is None or until_ms <= after_ms:
            return
        if self._funding:
            yield from self._charge_funding(account, _times(after_ms, until_ms, FUNDING_MS), ts)
        if self._interest:
            yield from self._charge_interest(account, _times(after_ms, until_ms, DAY_MS), ts)

    def _charge_funding(self, account: Account, times: int, ts: int) -> Iterator[Event]:
        """Let long positions pay the rate on their value, and short ones receive it."""
        for symbol, position in account.positions.items() if times else ():
            amount = position.qty * account.marks[symbol] * self._funding * times
            if amount:
                account.pay_funding(amount)
                yield event.funding(ts, symbol, position.qty, account.marks[symbol], times, amount)

    def _charge_interest(self, account: Account, days: int, ts: int) -> Iterator[Event]:
        """Charge the rate on borrowed cash and on the value of what was sold short."""
        for _ in range(days):
            cash = max(-account.cash, ZERO)
            short = sum(
                (-min(position.qty, ZERO) * account.marks[symbol] for symbol, position in account.positions.items()),
                ZERO,
            )
            amount = (cash + short) * self._interest
            if not amount:
                return
            account.pay_interest(amount)
            yield event.interest(ts, cash, short, amount)


def _times(after_ms: int, until_ms: int, period_ms: int) -> int:
    """Return how many multiples of a period lie in `(after_ms, until_ms]`."""
    return until_ms // period_ms - after_ms // period_ms
