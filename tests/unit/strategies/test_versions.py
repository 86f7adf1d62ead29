"""Built-in rules are known by a version of their own, whatever their source looks like."""

from __future__ import annotations

from typing import Any

import pytest

from app.candles.sources import synthetic
from app.domain.trading.settings import BrokerConfig
from app.domain.trading.strategy import Strategy
from app.domain.trading.strategy_runner import StrategyRunner
from app.strategies import versions
from app.strategies.registry import BUILT_IN
from app.strategies.versions import VERSIONS, rule_hash
from app.strategy_hosts.strategy_catalog import source_hash


def test_every_built_in_rule_has_a_version() -> None:
    assert list(VERSIONS) == list(BUILT_IN)
    assert len({rule_hash(slug) for slug in VERSIONS}) == len(VERSIONS)


def test_version_1_is_known_by_the_hash_that_older_logs_hold() -> None:
    crossing = "09e77170748ae0fe525417d66340db60fd725757cfb00766ec8fc507362fa426"
    assert rule_hash("sma_cross") == source_hash(BUILT_IN["sma_cross"]) == crossing


def test_a_raised_version_is_another_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(versions.VERSIONS, "sma_cross", 2)
    assert rule_hash("sma_cross") == "aee914279e08a7d8460d373489df64ae599141ea0ccb833ce6b941d267897945"


@pytest.mark.parametrize("slug", [slug for slug in BUILT_IN if slug not in ("none", "manual", "buy_and_hold")])
def test_a_rule_writes_the_same_whatever_its_class_is_called(slug: str) -> None:
    config = {"percent": 0.2} if slug == "ema_revert" else {}
    rule = BUILT_IN[slug]
    name, before = rule.__name__, reasons(rule, **config)
    try:
        rule.__name__ = "Renamed"
        assert reasons(rule, **config) == before
    finally:
        rule.__name__ = name
    assert before


def test_a_class_derived_from_a_rule_has_its_own_name() -> None:
    derived = type("Mine", (BUILT_IN["sma_cross"],), {})
    assert {reason.split()[0] for reason in reasons(derived)} == {"Mine"}


def reasons(strategy: type[Strategy], **config: Any) -> list[str]:
    """Return the reasons of all signals over two days of synthetic candles."""
    runner = StrategyRunner(strategy(**config), BrokerConfig(symbols=("BTCUSDT",), timeframe="1m"))
    candles = synthetic.candles("BTCUSDT", "1m", 1_704_067_200_000, 1_704_240_000_000)
    events = [event for candle in candles for event in runner.on_slot([candle])]
    return [event.payload["reason"] for event in events if event.type == "signal"]
