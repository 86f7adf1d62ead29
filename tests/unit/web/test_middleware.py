"""The rate of one client: a bucket that holds a burst and fills steadily."""

from __future__ import annotations

from app.web.http.middleware import RateLimiter


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_allowed_then_the_rate_holds() -> None:
    time = Time()
    rate = RateLimiter(10, 5, time)
    assert [rate.take("a") for _ in range(7)] == [True] * 5 + [False] * 2
    time.now = 0.1
    assert [rate.take("a") for _ in range(2)] == [True, False]
    time.now = 100
    assert [rate.take("a") for _ in range(6)] == [True] * 5 + [False]


def test_clients_do_not_share_a_bucket_and_old_ones_are_forgotten() -> None:
    rate = RateLimiter(1, 1, Time())
    assert rate.take("a")
    assert rate.take("b")
    assert not rate.take("a")
    for number in range(10_001):
        rate.take(str(number))
    assert rate.take("b")
