"""How often a session may be rebuilt from its log before it fails."""

from __future__ import annotations

import pytest

from app.engine.replay.restart_policy import MAX_FAILURES, RestartPolicy
from app.engine.replay.writer import SessionLostError
from app.errors import SimError, StrategyFailedError, StrategyProcessLostError, StrategyTooSlowError, UnavailableError


def record(policy: RestartPolicy, error: Exception, count: int, cursor_ms: int | None = 60_000) -> None:
    for _ in range(count):
        policy.record(error, cursor_ms)


def test_an_unavailable_database_is_waited_for_however_often() -> None:
    policy = RestartPolicy()
    record(policy, UnavailableError(), 100)
    assert not policy.own_process


def test_a_slow_strategy_goes_on_in_its_own_process_and_is_not_counted() -> None:
    policy = RestartPolicy()
    record(policy, StrategyTooSlowError(), 100)
    assert policy.own_process


def test_a_tick_refused_three_times_at_one_candle_fails_the_session() -> None:
    policy = RestartPolicy()
    record(policy, SessionLostError(), MAX_FAILURES - 1)
    with pytest.raises(SimError, match="The log refused the tick after the candle at 60000 3 times"):
        policy.record(SessionLostError(), 60_000)


def test_failures_at_different_candles_are_not_added_up() -> None:
    policy = RestartPolicy()
    for cursor_ms in range(100):
        record(policy, SessionLostError(), MAX_FAILURES - 1, cursor_ms)


def test_a_strategy_at_work_when_its_process_dies_gets_its_own_and_fails_the_third_time() -> None:
    policy = RestartPolicy()
    policy.record(StrategyProcessLostError("signal 9"), 60_000)
    assert policy.own_process
    policy.record(StrategyProcessLostError("signal 9"), 60_000)
    with pytest.raises(StrategyFailedError, match=r"died 3 times at the same candle \(signal 9\)\."):
        policy.record(StrategyProcessLostError("signal 9"), 60_000)


def test_an_idle_strategy_whose_process_dies_is_first_tried_in_its_own_process() -> None:
    policy = RestartPolicy()
    record(policy, StrategyProcessLostError(), MAX_FAILURES - 1)
    assert not policy.own_process
    policy.record(StrategyProcessLostError(), 60_000)
    assert policy.own_process
    record(policy, StrategyProcessLostError(), MAX_FAILURES - 1)
    with pytest.raises(StrategyFailedError, match=r"died 3 times at the same candle while idle\."):
        policy.record(StrategyProcessLostError(), 60_000)
