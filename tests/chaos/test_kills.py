"""What `make test` does a few times, many times over."""

from __future__ import annotations

import random

import pytest

from tests.support.postgres import Database
from tests.support.scenarios.killed_commands import killed_between_command_and_tick
from tests.support.scenarios.kills import killed_at_random
from tests.support.server_process import StartServer

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]


async def test_killed_by_sigkill_at_random_50_times_and_resumed_the_digest_equals_an_undisturbed_run_s(
    database: Database, start_server: StartServer
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    await killed_at_random(database, start_server, times=50, seed=seed)


async def test_killed_by_sigkill_50_times_between_a_command_and_its_tick_the_digest_equals_an_undisturbed_run_s(
    database: Database, start_server: StartServer
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    await killed_between_command_and_tick(database, start_server, times=50, seed=seed)
