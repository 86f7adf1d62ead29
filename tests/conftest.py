"""Fixtures for all tests: real Postgres, real server processes, and nothing left behind.

Under `make test` several processes share the tests (pytest-xdist), each with a server and databases of its own; tests
that need the same costly thing, a browser or an older Postgres, stay together in one of them. A test of what happens
within a stated time is marked `alone`: no other runs beside it, for its time would be theirs too. Those come last, one
after the other, so that the others wait for them once.

Async tests and fixtures run on anyio's pytest plugin in its automatic mode (`anyio_mode` in pyproject.toml), on
asyncio, each test on a loop of its own. A task, connection or process that a test leaves behind fails it.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.runner.alone import Turns
from tests.support import servers
from tests.support.process import Zeon
from tests.support.servers import Database, PrivateServer, Server

KIND = pytest.StashKey[str]()
FOLDER = pytest.StashKey[Path]()
TURNS = pytest.StashKey[Turns]()
MAIN = "main"
HANGS_S = 240
"""An async test that takes as long hangs, unless it asks for more; shorter than pytest-timeout's."""


def pytest_xdist_auto_num_workers() -> int:
    """Share among one process more than there are cores, as tests mostly wait; at most 4, as each has a Postgres."""
    return min((os.cpu_count() or 1) + 1, 4)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return _Sharing(config, log)


def pytest_configure_node(node: Any) -> None:
    """Tell each process that shares the tests where their turns are kept."""
    folder = node.config.stash.setdefault(FOLDER, Path(tempfile.gettempdir(), f"zeon-turns-{os.getpid()}"))
    folder.mkdir(exist_ok=True)
    node.workerinput["turns"] = str(folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    if TURNS in config.stash:
        config.stash[TURNS].close()
    if FOLDER in config.stash:
        shutil.rmtree(config.stash[FOLDER])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    turns = item.config.stash.get(TURNS, None)
    if turns is None:
        return (yield)
    with turns.alone() if _alone(item) else turns.beside():
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_alone)
    for item in items:
        if inspect.iscoroutinefunction(item.obj):  # type: ignore[attr-defined]
            asked = item.get_closest_marker("timeout")
            limit_s = HANGS_S if asked is None else asked.args[0] - 60
            item.obj = _ended_in_time(item.obj, limit_s)  # type: ignore[attr-defined]


def pytest_configure(config: pytest.Config) -> None:
    # How long a machine under load takes says nothing about the code: pytest-timeout alone ends what hangs.
    hypothesis.settings.register_profile("zeon", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
    hypothesis.settings.load_profile("zeon")
    config.stash[KIND] = servers.kind()
    if shared := getattr(config, "workerinput", None):
        config.stash[TURNS] = Turns(Path(shared["turns"]))
    # Where a run began in the background Ctrl-C is ignored, and every process under test would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header(config: pytest.Config) -> str:
    older = ", ".join(servers.older_servers())
    return f"{servers.describe(config.stash[KIND])}; SQL tests also on {older}"


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: Any, name: str, obj: object) -> None:
    if collector.istestfunction(obj, name) and inspect.iscoroutinefunction(obj):
        pytest.mark.usefixtures("no_leaked_tasks")(obj)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Fail the test when a task it or its fixtures started is still there five seconds after their end."""
    before = asyncio.all_tasks()
    yield
    left = {task for task in asyncio.all_tasks() - before if not _of_anyio(task)}
    if left:
        _, left = await asyncio.wait(left, timeout=5)
    for task in left:
        task.cancel()
    assert not left, f"leaked tasks: {left}"


@pytest.fixture(scope="session")
def running_servers(pytestconfig: pytest.Config) -> Iterator[Callable[[str], Server]]:
    """Give the server of a label, started when first asked for, stopped at the end of the run."""
    started: dict[str, Server] = {}

    def server(label: str) -> Server:
        if label not in started:
            if label == MAIN:
                started[label] = servers.main_server(pytestconfig.stash[KIND])
            else:
                started[label] = PrivateServer(label, bin_path=servers.older_servers()[label])
        return started[label]

    yield server
    for each in started.values():
        each.clean_up()


@pytest.fixture(scope="session")
def server(running_servers: Callable[[str], Server]) -> Server:
    """The server all tests share; do not stop it."""
    return running_servers(MAIN)


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    """A database of the test's own with everything installed, dropped afterwards."""
    yield from _lend(server, empty=False)


@pytest.fixture
def empty_database(server: Server) -> Iterator[Database]:
    """A database of the test's own without any table."""
    yield from _lend(server, empty=True)


@pytest.fixture(params=[MAIN, *servers.older_servers()])
def any_server(request: pytest.FixtureRequest, running_servers: Callable[[str], Server]) -> Server:
    """Each of the servers that SQL must work on in turn: the main one, the bundled 16, Debian's 15."""
    return running_servers(request.param)


@pytest.fixture
def any_database(any_server: Server) -> Iterator[Database]:
    """Like `database`, on each server that SQL must work on."""
    yield from _lend(any_server, empty=False)


@pytest.fixture
def private_server() -> Iterator[PrivateServer]:
    """A server of the test's own to stop, kill and start again; `new_database()` gives its databases."""
    server = PrivateServer("private")
    yield server
    server.stop()


@pytest.fixture
def zeon(tmp_path: Path) -> Iterator[Callable[..., Zeon]]:
    """Start `zeon serve` on a database: `zeon(database, ZEON_POLL_MS=50)`; what still runs is killed."""
    processes: list[Zeon] = []

    def start(database: Database, *, wait: bool = True, port: int | None = None, **env: object) -> Zeon:
        process = Zeon(database, tmp_path / f"zeon-{len(processes)}.log", port=port, **env)
        processes.append(process)
        return process.start(wait=wait)

    yield start
    for process in processes:
        process.kill()


def _alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


class _Sharing(LoadScopeScheduling):  # type: ignore[misc]
    """Gives tests out one by one, and those that need the same costly thing, the browser or an older Postgres, as one.

    xdist's own groups are names it appends to an item's id, which pytest 9.2 does not let it change any more.
    """

    def _split_scope(self, nodeid: str) -> str:
        """Name what a test belongs to."""
        if nodeid.startswith("tests/browser/"):
            return "browser"
        older = [label for label in servers.older_servers() if re.search(rf"[\[-]{re.escape(label)}[]-]", nodeid)]
        return f"postgres {older[0]}" if older else nodeid


def _ended_in_time(test: Callable[..., Any], limit_s: float) -> Callable[..., Any]:
    """End a test that hangs where it waits: pytest-timeout breaks the loop, on which its fixtures hang for ever."""

    @functools.wraps(test)
    async def limited(*arguments: Any, **named: Any) -> None:
        async with asyncio.timeout(limit_s):
            await test(*arguments, **named)

    return limited


def _of_anyio(task: asyncio.Task[Any]) -> bool:
    return getattr(task.get_coro(), "__qualname__", "").startswith("TestRunner.")


def _lend(server: Server, *, empty: bool) -> Iterator[Database]:
    """Lend a new database and take it back; connections left open fail the test."""
    database = server.new_database(empty=empty)
    yield database
    left = server.drop(database)
    assert not left, f"connections left open: {left}"
