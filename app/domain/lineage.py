"""What a fork remembers of its ancestors: per stretch of its log, which strategy ran it on which terms."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from app.domain.number import format_decimal
from app.domain.trading.settings import TradingSettings, parse_sizing, sizing_to_json


class Ancestor(NamedTuple):
    """The log up to `to_seq`, the cursor there (ms UTC, null before the first tick), and what wrote it.

    `strategy_hash` is that of the code that wrote it, null when that was not remembered.
    """

    session_id: UUID
    to_seq: int
    to_cursor_ms: int | None
    profile_slug: str
    config: dict[str, Any]
    terms: TradingSettings
    strategy_hash: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Spell a stretch for the session's row; decimals as text, so that nothing is lost."""
        return {
            "sessionId": str(self.session_id),
            "toSeq": self.to_seq,
            "toCursorMs": self.to_cursor_ms,
            "profileSlug": self.profile_slug,
            "config": self.config,
            "terms": _spelled(self.terms),
            "strategyHash": self.strategy_hash,
        }


def parse_ancestor(value: dict[str, Any]) -> Ancestor:
    """Read a stretch from the session's row."""
    return Ancestor(
        UUID(value["sessionId"]),
        value["toSeq"],
        value["toCursorMs"],
        value["profileSlug"],
        value["config"],
        _terms(value["terms"]),
        value.get("strategyHash"),
    )


_DECIMALS = ("initial_cash", "maker_fee_bps", "taker_fee_bps", "slippage_bps", "leverage", "volume_share")
_WORDS = ("fill", "limit_fill", "record")


def _spelled(terms: TradingSettings) -> dict[str, Any]:
    numbers = {name: getattr(terms, name) for name in _DECIMALS}
    return {
        **{name: None if value is None else format_decimal(value) for name, value in numbers.items()},
        **{name: getattr(terms, name) for name in _WORDS},
        "sizing": {kind: str(amount) for kind, amount in sizing_to_json(terms.sizing).items()},
    }


def _terms(value: dict[str, Any]) -> TradingSettings:
    numbers = {name: None if value[name] is None else Decimal(value[name]) for name in _DECIMALS}
    words = {name: value[name] for name in _WORDS}
    named: dict[str, Any] = {**numbers, **words, "sizing": parse_sizing(value["sizing"])}
    return TradingSettings(**named)
