"""What a fork remembers of its ancestors: per stretch of its log, which strategy ran it on which terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from app.domain.number import format_decimal
from app.domain.trading.settings import TradingSettings, parse_sizing, sizing_to_json

T = TypeVar("T")


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
            "terms": settings_to_json(self.terms),
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
        parse_settings(value["terms"]),
        value.get("strategyHash"),
    )


def settings_to_json(terms: TradingSettings) -> dict[str, Any]:
    """Return settings under names that never change, since rows hold them; decimals as text."""
    return {
        "initial_cash": format_decimal(terms.initial_cash),
        "maker_fee_bps": format_decimal(terms.maker_fee_bps),
        "taker_fee_bps": format_decimal(terms.taker_fee_bps),
        "slippage_bps": format_decimal(terms.slippage_bps),
        "leverage": _optional(format_decimal, terms.leverage),
        "volume_share": _optional(format_decimal, terms.volume_share),
        "fill": terms.fill,
        "limit_fill": terms.limit_fill,
        "record": terms.record,
        "sizing": {kind: str(amount) for kind, amount in sizing_to_json(terms.sizing).items()},
    }


def parse_settings(value: Mapping[str, Any]) -> TradingSettings:
    """Read what `settings_to_json` returned."""
    return TradingSettings(
        initial_cash=Decimal(value["initial_cash"]),
        maker_fee_bps=Decimal(value["maker_fee_bps"]),
        taker_fee_bps=Decimal(value["taker_fee_bps"]),
        slippage_bps=Decimal(value["slippage_bps"]),
        leverage=_optional(Decimal, value["leverage"]),
        volume_share=_optional(Decimal, value["volume_share"]),
        fill=value["fill"],
        limit_fill=value["limit_fill"],
        record=value["record"],
        sizing=parse_sizing(value["sizing"]),
    )


def _optional(read: Callable[[Any], T], value: Any) -> T | None:
    return None if value is None else read(value)
