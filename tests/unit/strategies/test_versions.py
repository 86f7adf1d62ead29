"""Built-in rules are known by a version of their own, whatever their source looks like."""

from __future__ import annotations

import pytest

from app.engine.strategy_catalog import source_hash
from app.strategies import versions
from app.strategies.registry import BUILT_IN
from app.strategies.versions import VERSIONS, rule_hash


def test_every_built_in_rule_has_a_version() -> None:
    assert list(VERSIONS) == list(BUILT_IN)
    assert len({rule_hash(slug) for slug in VERSIONS}) == len(VERSIONS)


def test_version_1_is_known_by_the_hash_that_older_logs_hold() -> None:
    crossing = "09e77170748ae0fe525417d66340db60fd725757cfb00766ec8fc507362fa426"
    assert rule_hash("sma_cross") == source_hash(BUILT_IN["sma_cross"]) == crossing


def test_a_raised_version_is_another_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(versions.VERSIONS, "sma_cross", 2)
    assert rule_hash("sma_cross") == "aee914279e08a7d8460d373489df64ae599141ea0ccb833ce6b941d267897945"
