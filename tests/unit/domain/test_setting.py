"""The settings of a session, described once."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.cli import subcommands
from app.db.tables import SESSIONS
from app.domain.session import SETTINGS, Pace, SessionSpec, new_spec, setting_from_json, setting_to_json
from app.domain.setting import build, flatten
from app.domain.trading.settings import Sizing, TradingSettings
from app.web.sim.answers import SessionAnswer
from app.web.sim.requests import ForkRequest, NewSession

SPEC = SessionSpec(
    profile_slug="sma_cross",
    venue="demo",
    symbols=("BTCUSDT", "ETHUSDT"),
    timeframe="1m",
    start_ms=0,
    end_ms=None,
    lag_ms=1,
    pace=Pace(speed=5),
    gap_policy="fill",
    gap_grace_ms=2,
    extra_timeframes=("5m",),
    warmup_candles=3,
    trading=TradingSettings(leverage=None, sizing=Sizing("cash", Decimal(5), Decimal("0.1")), record="trades"),
    kind="market",
    name="mine",
    tags=("a", "b"),
    config={"fast": 2},
)


def test_settings_are_the_same_after_they_were_taken_apart_and_put_together() -> None:
    values = flatten(SPEC)
    assert build(SessionSpec, values) == SPEC
    assert (values["speed"], values["replay_ms_per_candle"], values["leverage"]) == (5, None, None)


def test_settings_are_the_same_after_json() -> None:
    stored = {name: setting_to_json(value) for name, value in flatten(SPEC).items()}
    assert stored["sizing"] == {"cash": Decimal(5), "qtyStep": Decimal("0.1")}
    assert stored["symbols"] == ["BTCUSDT", "ETHUSDT"]
    assert build(SessionSpec, {field.name: setting_from_json(field, stored[field.name]) for field in SETTINGS}) == SPEC


def test_what_is_not_given_has_its_default() -> None:
    least = {"profile_slug": "none", "venue": "demo", "symbols": ("X",), "timeframe": "1h", "start_ms": 0}
    spec = new_spec(least)
    assert (spec.trading, spec.pace, spec.lag_ms, spec.end_ms) == (TradingSettings(), Pace(15_000), 900_000, None)
    assert (spec.gap_policy, spec.gap_grace_ms) == ("skip", 3_600_000)
    assert new_spec(least | {"end_ms": 1, "timeframe": "1m"}).gap_grace_ms == 60_000
    assert new_spec(least | {"end_ms": 1}).gap_policy == "fail"


def test_every_setting_is_in_the_answer_and_has_a_column() -> None:
    names = {field.name for field in SETTINGS}
    assert names <= set(SessionAnswer.model_fields)
    assert names <= set(SESSIONS.columns.keys())


def test_every_setting_a_client_may_choose_is_in_the_request_with_its_help() -> None:
    for field in SETTINGS:
        if field.setting.in_request:
            assert NewSession.model_fields[field.name].description == field.setting.help
        else:
            assert field.name not in NewSession.model_fields
        assert (field.name in ForkRequest.model_fields) == field.setting.fork


@pytest.mark.parametrize(("command", "fork"), [("create", False), ("fork", True)])
def test_every_setting_a_client_may_choose_is_an_option(command: str, fork: bool) -> None:
    options = {name for parameter in subcommands.load("sessions").commands[command].params for name in parameter.opts}
    for field in SETTINGS:
        assert (field.option in options) == (field.setting.fork if fork else field.setting.in_request), field.option
