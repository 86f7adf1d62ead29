"""Texts that databases hold, hashed or plain, against the values that commit b53902f computed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from app.domain.lineage import Ancestor, parse_ancestor
from app.domain.market.candle import Candle
from app.domain.market.fingerprint import Fingerprint, ordered_hash
from app.domain.session import Pace, SessionSpec
from app.domain.snapshot import from_text, keep, to_text
from app.domain.trading.account import FillTime, Lot, Position
from app.domain.trading.order import Bracket, Trail
from app.domain.trading.settings import Sizing, TradingSettings
from app.domain.trading.strategy import Strategy
from app.domain.trading.strategy_runner import StrategyRunner

CANDLES = [
    Candle("BTCUSDT", "1m", 60_000, 120_000, *map(Decimal, ("42000", "42010.5", "41999.25", "42000.1", "0.125"))),
    Candle("ETHUSDT", "1m", 60_000, 120_000, *map(Decimal, ("2300", "2300", "2300", "2300", "0")), True),
]
SETTINGS = TradingSettings(
    initial_cash=Decimal("1E+4"),
    maker_fee_bps=Decimal("1.50"),
    leverage=None,
    sizing=Sizing("cash", Decimal(2500), Decimal("0.001")),
    volume_share=Decimal("0.1"),
    record="trades",
    rules=1,
)
SPEC = SessionSpec(
    profile_slug="sma_cross",
    venue="binance",
    symbols=("BTCUSDT", "ETHUSDT"),
    timeframe="5m",
    start_ms=1_704_067_200_000,
    end_ms=None,
    lag_ms=0,
    pace=Pace(0),
    gap_policy="skip",
    gap_grace_ms=0,
    config={"slow": 30, "fast": 2.5, "side": "both"},
    trading=SETTINGS,
)
ANCESTOR = {
    "sessionId": "00000000-0000-0000-0000-000000000007",
    "toSeq": 150,
    "toCursorMs": 1_704_067_500_000,
    "profileSlug": "sma_cross",
    "config": {"fast": 3},
    "terms": {
        "initial_cash": "10000",
        "maker_fee_bps": "1.5",
        "taker_fee_bps": "10",
        "slippage_bps": "0",
        "leverage": None,
        "volume_share": "0.1",
        "fill": "next_open",
        "limit_fill": "through",
        "record": "trades",
        "sizing": {"cash": "2500", "qtyStep": "0.001"},
    },
    "strategyHash": "abc",
}


def test_the_hash_of_warm_up_candles() -> None:
    assert ordered_hash(CANDLES) == "b05973d91a47da85146399c5398d466a65a59584d209a542622e98cf9ebcffa1"
    assert ordered_hash([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_hash_of_candles_used() -> None:
    used = Fingerprint()
    used.add(CANDLES)
    assert str(used) == "4a8a8de3db8de2af"


def test_the_seed_of_a_session_and_what_is_drawn_from_it() -> None:
    assert SPEC.broker_config.seed == (
        '["sma_cross", {"fast": 2.5, "side": "both", "slow": 30},'
        ' "binance", ["BTCUSDT", "ETHUSDT"], "5m", 1704067200000]'
    )
    rng = StrategyRunner(Strategy(), SPEC.broker_config).rng
    assert (rng.random(), rng.random(), rng.randrange(1000)) == (0.7944581745831152, 0.6713499665406628, 18)


def test_the_lineage_of_a_fork() -> None:
    ancestor = Ancestor(UUID(int=7), 150, 1_704_067_500_000, "sma_cross", {"fast": 3}, SETTINGS, "abc")
    assert ancestor.as_json() == ANCESTOR
    assert parse_ancestor(ANCESTOR) == ancestor
    assert parse_ancestor(
        {**ANCESTOR, "terms": {**ANCESTOR["terms"], "leverage": "3", "volume_share": None}}
    ).trading == (
        TradingSettings(
            initial_cash=Decimal(10_000),
            maker_fee_bps=Decimal("1.5"),
            leverage=Decimal(3),
            sizing=SETTINGS.sizing,
            record="trades",
            rules=1,
        )
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            CANDLES[0],
            '["Candle","BTCUSDT","1m",60000,120000,["decimal","42000"],["decimal","42010.5"],["decimal","41999.25"],'
            '["decimal","42000.1"],["decimal","0.125"],false]',
        ),
        (FillTime(1, 2), '["Moment",1,2]'),
        (
            Lot(Decimal(1), Decimal(2), Decimal(3), FillTime(1, 2)),
            '["Lot",["decimal","1"],["decimal","2"],["decimal","3"],["Moment",1,2]]',
        ),
        (Position(Decimal(1), Decimal(2), ()), '["Position",["decimal","1"],["decimal","2"],["tuple"]]'),
        (Trail(Decimal(1), True), '["Trail",["decimal","1"],true]'),
        (Bracket(None, Decimal(1)), '["Bracket",null,["decimal","1"]]'),
        (SETTINGS.sizing, '["Sizing","cash",["decimal","2500"],["decimal","0.001"]]'),
        (
            {"a": [1, Decimal("1.50"), None], 1: ("x", True)},
            '["dict",["a",["list",1,["decimal","1.50"],null]],[1,["tuple","x",true]]]',
        ),
    ],
)
def test_what_a_snapshot_is_written_as(value: Any, text: str) -> None:
    assert to_text(keep(value)) == text
    assert from_text(text) == value
    assert type(from_text(text)) is type(value)
