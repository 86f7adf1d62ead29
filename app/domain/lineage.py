"""The ancestors of a fork: for each part of its log, the strategy and the trading settings that wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from app.domain.number import format_decimal
from app.domain.setting import SettingField, build, flatten, setting_fields
from app.domain.trading.rules import FIRST_RULES
from app.domain.trading.settings import Sizing, TradingSettings, parse_sizing, sizing_to_json


class Ancestor(NamedTuple):
    """A part of the log: it ends at `to_seq`, with the cursor there (ms UTC, null before the first tick).

    `to_command` is the number of commands up to there. The other fields say what wrote it; `strategy_hash` is the hash
    of the strategy's code, null if it is unknown.
    """

    session_id: UUID
    to_seq: int
    to_cursor_ms: int | None
    profile_slug: str
    config: dict[str, Any]
    trading: TradingSettings
    strategy_hash: str | None = None
    to_command: int = 0

    @property
    def wrote(self) -> bool:
        """Whether the part has ticks or commands."""
        return self.to_cursor_ms is not None or self.to_command > 0

    def as_json(self) -> dict[str, Any]:
        """Return the ancestor as JSON for the session's row; decimals are text, so that no digit is lost."""
        return {
            "sessionId": str(self.session_id),
            "toSeq": self.to_seq,
            "toCursorMs": self.to_cursor_ms,
            "profileSlug": self.profile_slug,
            "config": self.config,
            "terms": settings_to_json(self.trading),
            "strategyHash": self.strategy_hash,
            **({"toCommand": self.to_command} if self.to_command else {}),
        }


def parse_ancestor(value: dict[str, Any]) -> Ancestor:
    """Parse an ancestor from the session's row."""
    return Ancestor(
        UUID(value["sessionId"]),
        value["toSeq"],
        value["toCursorMs"],
        value["profileSlug"],
        value["config"],
        parse_settings(value["terms"]),
        value.get("strategyHash"),
        value.get("toCommand", 0),
    )


_LATER: Final[dict[str, Any]] = {
    "rules": FIRST_RULES,
    "entry_candle_profit": "never",
    "funding_bps": "0",
    "borrow_bps_per_day": "0",
    "maintenance_margin_pct": None,
}
"""Fields that stored lineages may lack -> the value that sessions had before there was the field."""


def settings_to_json(trading: TradingSettings) -> dict[str, Any]:
    """Return settings by the names of their columns, which never change (rows have them); decimals are text.

    Fields that were added later are left out while they have the value that older sessions have.
    """
    values = {name: _to_json(value) for name, value in flatten(trading).items()}
    return {name: value for name, value in values.items() if name not in _LATER or value != _LATER[name]}


def _to_json(value: Any) -> Any:
    if isinstance(value, Sizing):
        return {kind: str(amount) for kind, amount in sizing_to_json(value).items()}
    return format_decimal(value) if isinstance(value, Decimal) else value


def parse_settings(stored: Mapping[str, Any]) -> TradingSettings:
    """Parse what `settings_to_json` returned; a field that was added later gets the value of older sessions."""
    values = _LATER | dict(stored)
    fields = [field for field in setting_fields(TradingSettings) if field.name in values]
    return build(TradingSettings, {field.name: _from_json(field, values[field.name]) for field in fields})


def _from_json(field: SettingField, value: Any) -> Any:
    if field.base_type is Decimal and value is not None:
        return Decimal(value)
    return parse_sizing(value) if field.base_type is Sizing else value
