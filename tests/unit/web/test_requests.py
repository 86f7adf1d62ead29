"""The body of a new session as the settings of a session."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.number import DecimalFloat
from app.domain.session import Pace, SessionSpec
from app.errors import BadInputError
from app.settings import load
from app.web.http.parsing import fingerprint, parse
from app.web.sim.requests import EventsQuery, NewSession, StreamQuery

LEAST = {"profileSlug": "none", "symbol": "BTCUSDT", "timeframe": "1h", "startMs": 0}


def spec(**changes: Any) -> SessionSpec:
    return parse(NewSession, {**LEAST, **changes}).spec(load())


def test_defaults_depend_on_the_end_and_the_timeframe() -> None:
    endless, bounded = spec(), spec(endMs=3_600_000)
    assert (endless.gap_policy, bounded.gap_policy) == ("skip", "fail")
    assert (endless.gap_grace_ms, spec(timeframe="1m", endMs=1).gap_grace_ms) == (3_600_000, 60_000)
    assert endless.venue == "binance"
    assert endless.pace == Pace(15_000)
    assert endless.lag_ms == 900_000


def test_an_explicit_null_is_the_default() -> None:
    assert spec(gapPolicy=None, gapGraceMs=None, endMs=None, speed=None, replayMsPerCandle=None, venue=None) == spec()


def test_either_pace_is_kept_as_it_was_given() -> None:
    assert spec(speed=5).pace == Pace(None, 5)
    assert spec(replayMsPerCandle=0).pace == Pace(0)


def test_symbols_and_venue_are_normalized_in_the_order_given() -> None:
    created = spec(symbol=None, symbols=["eth/btc", "BTC-USDT", "a_b.c"], venue=" Demo ")
    assert (created.symbols, created.venue) == (("ETHBTC", "BTCUSDT", "AB.C"), "demo")


def test_a_config_as_large_as_allowed_is_accepted_and_no_larger() -> None:
    limits = load(max_config=20)
    assert parse(NewSession, {**LEAST, "config": {"a": "x" * 12}}).spec(limits)
    with pytest.raises(BadInputError, match="config: 21 bytes"):
        parse(NewSession, {**LEAST, "config": {"a": "x" * 13}}).spec(limits)


def test_queries_read_numbers_and_types() -> None:
    query = parse(EventsQuery, {"fromSeq": "7", "limit": "10000", "types": "candle,gap"})
    assert (query.from_seq, query.limit, query.types) == (7, 10_000, ["candle", "gap"])
    assert parse(StreamQuery, {}).from_seq == 0
    for wrong in ({"fromSeq": "7.0"}, {"fromSeq": "1_0"}, {"fromSeq": " 7"}, {"fromSeq": ""}, {"from_seq": "7"}):
        with pytest.raises(BadInputError):
            parse(EventsQuery, wrong)


def test_a_fingerprint_does_not_depend_on_the_order_of_fields() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1, "b": 3})


def test_a_fingerprint_is_the_one_that_commit_b53902f_stored() -> None:
    known = "8bb7dc6511ef971d3442cee6e42e51d6ace0172409cb14b8af22c7f42f560a3c"
    assert fingerprint({"b": 1.5, "a": ["x", None]}) == known
    known = "6ee558b0fed952d616b72332e39c9753d20248eeeb49dccf7798f6c31c9b997f"
    assert fingerprint("market", {"q": DecimalFloat("0.1234567890123456789")}) == known
