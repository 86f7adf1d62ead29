"""Fixtures for all tests: real Postgres, real server processes, and nothing left behind.

Async tests and fixtures run on anyio's pytest plugin in its automatic mode (`anyio_mode` in pyproject.toml), on
asyncio, each test on a loop of its own. A task, connection or process that a test leaves behind fails it. How the
tests are shared among processes is in `tests/harness`.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.support.postgres import (
    Database,
    Postgres,
    PrivatePostgres,
    describe,
    main_server,
    older_servers,
    postgres_source,
)
from tests.support.server_process import ServerProcess, StartServer

pytest_plugins = ["tests.harness.plugin", "tests.harness.async_tests"]

SOURCE = pytest.StashKey[str]()
MAIN = "main"


def pytest_configure(config: pytest.Config) -> None:
    # How long a machine under load takes says nothing about the code: pytest-timeout alone ends what hangs.
    hypothesis.settings.register_profile("zeon", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
    hypothesis.settings.load_profile("zeon")
    config.stash[SOURCE] = postgres_source()
    # Where a run began in the background Ctrl-C is ignored, and every process under test would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header(config: pytest.Config) -> str:
    return f"{describe(config.stash[SOURCE])}; SQL tests also on {', '.join(older_servers())}"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_servers(pytestconfig: pytest.Config) -> Iterator[Callable[[str], Postgres]]:
    """Give the Postgres server of a label, started when first needed, stopped at the end of the run."""
    started: dict[str, Postgres] = {}

    def server(label: str) -> Postgres:
        if label not in started:
            if label == MAIN:
                started[label] = main_server(pytestconfig.stash[SOURCE])
            else:
                started[label] = PrivatePostgres(label, bin_path=older_servers()[label])
        return started[label]

    yield server
    for postgres in started.values():
        postgres.clean_up()


@pytest.fixture(scope="session")
def postgres(postgres_servers: Callable[[str], Postgres]) -> Postgres:
    """The Postgres server all tests share; do not stop it."""
    return postgres_servers(MAIN)


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    """A database of the test's own with everything installed, dropped afterwards."""
    yield from _lend(postgres, empty=False)


@pytest.fixture
def empty_database(postgres: Postgres) -> Iterator[Database]:
    """A database of the test's own without any table."""
    yield from _lend(postgres, empty=True)


@pytest.fixture(params=[MAIN, *older_servers()])
def any_postgres(request: pytest.FixtureRequest, postgres_servers: Callable[[str], Postgres]) -> Postgres:
    """Each of the servers that SQL must work on in turn: the main one, the bundled 16, Debian's 15."""
    return postgres_servers(request.param)


@pytest.fixture
def any_database(any_postgres: Postgres) -> Iterator[Database]:
    """Like `database`, on each server that SQL must work on."""
    yield from _lend(any_postgres, empty=False)


@pytest.fixture
def private_postgres() -> Iterator[PrivatePostgres]:
    """A Postgres server of the test's own to stop, kill and start again; `new_database()` gives its databases."""
    postgres = PrivatePostgres("private")
    yield postgres
    postgres.stop()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start `zeon serve` on a database: `start_server(database, ZEON_POLL_MS=50)`; what still runs is killed."""
    processes: list[ServerProcess] = []

    def start(database: Database, *, wait: bool = True, **options: Any) -> ServerProcess:
        process = ServerProcess(database, tmp_path / f"zeon-{len(processes)}.log", **options)
        processes.append(process)
        return process.start(wait=wait)

    yield start
    for process in processes:
        process.kill()


def _lend(postgres: Postgres, *, empty: bool) -> Iterator[Database]:
    """Lend a new database and take it back; connections left open fail the test."""
    database = postgres.new_database(empty=empty)
    yield database
    left = postgres.drop(database)
    assert not left, f"connections left open: {left}"
