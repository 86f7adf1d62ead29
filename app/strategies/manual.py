"""Profile `manual`."""

from __future__ import annotations

from typing import Any

from app.domain.trading.strategy import Strategy


class Manual(Strategy):
    """No strategy, but an account: it is traded by orders from outside, by hand or by a bot."""

    def snapshot(self) -> Any:
        """Return an empty state: the account is kept beside it."""
        return {}

    def restore(self, stored: Any) -> None:
        """Do nothing: there is no state."""
