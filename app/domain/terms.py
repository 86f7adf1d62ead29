"""The import path of `Terms` that strategies used before `zeon`; new code imports from `zeon`."""

from app.domain.trading.settings import BrokerConfig as Terms
from app.domain.trading.settings import Sizing

__all__ = ["Sizing", "Terms"]
