"""What workers share: limits of users in memory, and metrics that are added up."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from app.web.http.budgets import RateLimiter
from app.web.workers.metrics import merge
from app.web.workers.place import SharedMemory, WorkerPlace, create_memory


def memories(folder: Path) -> list[SharedMemory]:
    """The memory as two workers see it."""
    create_memory(folder)
    return [SharedMemory(WorkerPlace(number, 2, folder)) for number in (1, 2)]


def test_a_rate_holds_over_all_workers(tmp_path: Path) -> None:
    now = [100.0]
    one, two = (RateLimiter(1, 3, lambda: now[0], buckets=memory.new_buckets()) for memory in memories(tmp_path))
    assert [one.take("anna"), two.take("anna"), one.take("anna")] == [0, 0, 0]
    assert two.take("anna") == 1
    assert two.take("bert") == 0
    now[0] += 1
    assert two.take("anna") == 0
    assert one.take("anna") == 1
    one.charge("anna")
    assert two.wait_s("anna") == 2


def test_clients_beyond_the_memory_begin_anew_and_disturb_no_other_limiter(tmp_path: Path) -> None:
    memory = memories(tmp_path)[0]
    users, addresses = (RateLimiter(0.001, 1, lambda: 1.0, buckets=memory.new_buckets()) for _ in range(2))
    assert [users.take(f"user {number}") for number in range(50_000)] == [0] * 50_000
    assert users.take("user 49999") > 0
    assert addresses.take("user 49999") == 0


def test_the_streams_of_a_user_count_in_every_worker_and_not_those_of_one_that_died(tmp_path: Path) -> None:
    one, two = (memory.stream_counts() for memory in memories(tmp_path))
    one.put("anna", 2)
    two.put("anna", 3)
    two.put("bert", 1)
    assert [one.others("anna"), two.others("anna"), one.others("bert"), two.others("bert")] == [3, 2, 1, 0]
    again = SharedMemory(WorkerPlace(2, 2, tmp_path)).stream_counts()
    assert [one.others("anna"), one.others("bert")] == [0, 0]
    one.put("anna", 0)
    again.put("carl", 1)
    assert [again.others("anna"), one.others("carl")] == [0, 1]


def test_metrics_of_workers_are_added_up_except_what_is_the_same_everywhere() -> None:
    texts = []
    for number in (1, 2):
        registry = CollectorRegistry()
        Gauge("zeon_sessions", "Of the database.", ["status"], registry=registry).labels("running").set(7)
        Gauge("zeon_database_up", "1 if it answers.", registry=registry).set(number - 1)
        Counter("zeon_requests", "Answered.", ["status"], registry=registry).labels(str(200 + number)).inc(5)
        Counter("zeon_ticks", "Written.", registry=registry).inc(number)
        Histogram("zeon_commit_seconds", "How long.", registry=registry, buckets=(1, 2)).observe(number)
        texts.append(generate_latest(registry).decode())
    merged = {
        (sample.name, *sample.labels.values()): sample.value for family in merge(texts) for sample in family.samples
    }
    assert merged["zeon_sessions", "running"] == 7
    assert merged["zeon_database_up",] == 0
    assert merged["zeon_requests_total", "201"] == merged["zeon_requests_total", "202"] == 5
    assert merged["zeon_ticks_total",] == 3
    assert merged["zeon_commit_seconds_bucket", "1.0"] == 1
    assert merged["zeon_commit_seconds_count",] == 2


def test_a_limit_that_is_divided_is_never_nothing() -> None:
    place = WorkerPlace(1, 4, Path())
    assert [place.share(1), place.share(4), place.share(10)] == [1, 1, 3]
