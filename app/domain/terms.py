"""The import path of `Terms` that strategies used before `zeon`; new code imports from `zeon`."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.trading.rules import FIRST_RULES
from app.domain.trading.settings import BrokerConfig, Sizing

__all__ = ["Sizing", "Terms"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms(BrokerConfig):
    """`BrokerConfig` with the first rule set, so that tests of older strategies still pass."""

    rules: int = FIRST_RULES
