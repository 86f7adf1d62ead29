"""Who runs beside whom, among processes that share the tests; here threads, each with files of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

from tests.runner.alone import Turns

Turn = Callable[[Turns], AbstractContextManager[None]]


def entered(folder: Path, turn: Turn, leave: threading.Event) -> tuple[threading.Thread, threading.Event]:
    """Take a turn in a thread; the event is set once it has it, and it ends when it may leave."""
    inside = threading.Event()

    def work() -> None:
        with closing(Turns(folder)) as turns, turn(turns):
            inside.set()
            leave.wait(20)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, inside


def test_most_run_beside_each_other_and_one_that_wants_to_be_alone_waits_and_lets_nobody_past(tmp_path: Path) -> None:
    leave = [threading.Event() for _ in range(3)]
    first, first_inside = entered(tmp_path, Turns.beside, leave[0])
    second, second_inside = entered(tmp_path, Turns.beside, leave[0])
    assert first_inside.wait(20)
    assert second_inside.wait(20)
    third, alone = entered(tmp_path, Turns.alone, leave[1])
    assert not alone.wait(0.2)
    leave[0].set()
    assert alone.wait(20)
    fourth, late = entered(tmp_path, Turns.beside, leave[2])
    assert not late.wait(0.2)
    leave[1].set()
    assert late.wait(20)
    leave[2].set()
    for thread in (first, second, third, fourth):
        thread.join(20)
