"""The lock between processes that share the tests; here threads, each with files of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

from tests.harness.machine_lock import MachineLock

Mode = Callable[[MachineLock], AbstractContextManager[None]]


def start(folder: Path, mode: Mode, leave: threading.Event) -> tuple[threading.Thread, threading.Event]:
    """Take the lock in a thread until `leave` is set; the event that is returned is set once it has the lock."""
    inside = threading.Event()

    def work() -> None:
        with closing(MachineLock(folder)) as lock, mode(lock):
            inside.set()
            leave.wait(20)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, inside


def test_the_exclusive_lock_waits_for_those_that_share_it_and_lets_no_new_one_past(tmp_path: Path) -> None:
    leave = [threading.Event() for _ in range(3)]
    first, first_inside = start(tmp_path, MachineLock.shared, leave[0])
    second, second_inside = start(tmp_path, MachineLock.shared, leave[0])
    assert first_inside.wait(20)
    assert second_inside.wait(20)
    third, third_inside = start(tmp_path, MachineLock.exclusive, leave[1])
    assert not third_inside.wait(0.2)
    leave[0].set()
    assert third_inside.wait(20)
    fourth, fourth_inside = start(tmp_path, MachineLock.shared, leave[2])
    assert not fourth_inside.wait(0.2)
    leave[1].set()
    assert fourth_inside.wait(20)
    leave[2].set()
    for thread in (first, second, third, fourth):
        thread.join(20)
