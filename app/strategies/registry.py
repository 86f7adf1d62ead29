"""The built-in strategies by the slug of their profile."""

from __future__ import annotations

from app.domain.trading.strategy import Strategy
from app.strategies.buy_and_hold import BuyAndHold
from app.strategies.donchian_breakout import DonchianBreakout
from app.strategies.ema_revert import EmaRevert
from app.strategies.ema_state import EmaState
from app.strategies.keltner_revert import KeltnerRevert
from app.strategies.manual import Manual
from app.strategies.none import CandlesOnly
from app.strategies.rsi_revert import RsiRevert
from app.strategies.sma_cross import SmaCross
from app.strategies.squeeze_breakout import SqueezeBreakout
from app.strategies.trend_pullback import TrendPullback

BUILT_IN: dict[str, type[Strategy]] = {
    "none": CandlesOnly,
    "manual": Manual,
    "buy_and_hold": BuyAndHold,
    "sma_cross": SmaCross,
    "ema_state": EmaState,
    "rsi_revert": RsiRevert,
    "donchian_breakout": DonchianBreakout,
    "squeeze_breakout": SqueezeBreakout,
    "keltner_revert": KeltnerRevert,
    "trend_pullback": TrendPullback,
    "ema_revert": EmaRevert,
}
