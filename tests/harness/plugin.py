"""Share the tests among processes, and let those that measure time run while nothing else does. See README.md."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.harness.machine_lock import MachineLock
from tests.support.postgres import older_servers

LOCK_FOLDER = pytest.StashKey[Path]()
LOCK = pytest.StashKey[MachineLock]()

# Where bytecode may not be written, each process under test compiles the app, and each of ours all tests.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_xdist_auto_num_workers() -> int:
    """Share among one process more than there are cores, as tests mostly wait; at most 4, as each has a Postgres."""
    return min((os.cpu_count() or 1) + 1, 4)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return Scheduler(config, log)


def pytest_configure_node(node: Any) -> None:
    """Give each process that shares the tests the folder of the lock."""
    folder = node.config.stash.setdefault(LOCK_FOLDER, Path(tempfile.gettempdir(), f"zeon-lock-{os.getpid()}"))
    folder.mkdir(exist_ok=True)
    node.workerinput["lock_folder"] = str(folder)


def pytest_configure(config: pytest.Config) -> None:
    if worker := getattr(config, "workerinput", None):
        config.stash[LOCK] = MachineLock(Path(worker["lock_folder"]))


def pytest_unconfigure(config: pytest.Config) -> None:
    if LOCK in config.stash:
        config.stash[LOCK].close()
    if LOCK_FOLDER in config.stash:
        shutil.rmtree(config.stash[LOCK_FOLDER])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests marked `alone` last, so that the other processes wait for them once."""
    items.sort(key=_runs_alone)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    lock = item.config.stash.get(LOCK, None)
    if lock is None:
        return (yield)
    with lock.exclusive() if _runs_alone(item) else lock.shared():
        return (yield)


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]
    """Gives tests out one by one, and those that need the same costly thing, the browser or an older Postgres, as one.

    xdist's own groups are names it appends to an item's id, which pytest 9.2 does not let it change any more.
    """

    def _split_scope(self, nodeid: str) -> str:
        """Name the group of a test."""
        if nodeid.startswith("tests/browser/"):
            return "browser"
        older = [label for label in older_servers() if re.search(rf"[\[-]{re.escape(label)}[]-]", nodeid)]
        return f"postgres {older[0]}" if older else nodeid


def _runs_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None
