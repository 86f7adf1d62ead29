"""What one caller may ask for: a bucket that holds a burst and fills steadily, and turns of heavy calls."""

from __future__ import annotations

import asyncio

import pytest

from app.errors import BusyError, TooManyRequestsError
from app.web.http import budgets
from app.web.http.budgets import HeavyCalls, RateLimiter


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_allowed_then_the_rate_holds() -> None:
    time = Time()
    rate = RateLimiter(10, 5, time)
    assert [rate.take("a") for _ in range(7)] == [0] * 5 + [0.1] * 2
    time.now = 0.1
    assert [rate.take("a") for _ in range(2)] == [0, 0.1]
    time.now = 100
    assert [rate.take("a") for _ in range(6)] == [0] * 5 + [0.1]


def test_clients_do_not_share_a_bucket_and_old_ones_are_forgotten() -> None:
    rate = RateLimiter(1, 1, Time())
    assert [rate.take(client) for client in "aba"] == [0, 0, 1]
    for number in range(10_001):
        rate.take(str(number))
    assert rate.take("b") == 0


def test_a_charge_beyond_the_last_request_is_made_up_for() -> None:
    time = Time()
    rate = RateLimiter(10, 2, time)
    for _ in range(5):
        rate.charge("a")
    assert rate.wait_s("a") == 0.4
    time.now = 0.4
    assert (rate.wait_s("a"), rate.wait_s("b")) == (0, 0)


async def test_a_heavy_call_waits_for_its_users_turn_and_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "HEAVY_WAIT_S", 0.01)
    calls = HeavyCalls(per_user=2, places=3)
    first, second = await calls.turn("a"), await calls.turn("a")
    waiting = asyncio.create_task(calls.turn("a"))
    with pytest.raises(TooManyRequestsError) as refused:
        await waiting
    assert (refused.value.code, refused.value.retry_after_s) == ("too_many_heavy_calls", 0.01)
    other = await calls.turn("b")
    with pytest.raises(BusyError):
        await calls.turn("b")
    first.computed()
    third = await calls.turn("b")
    first.end()
    waiting = asyncio.create_task(calls.turn("a"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    for turn in (first, second, other, third):
        turn.end()
        turn.end()
    assert not calls._users
    for user in "cde":
        await calls.turn(user)
