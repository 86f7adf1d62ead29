"""Everything at once: servers killed and suspended, Postgres restarted and promoted, clients that come back."""

from __future__ import annotations

import os
import random

import pytest

from tests.support.scenarios.fault_storm import storm
from tests.support.server_process import StartServer

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200)]


async def test_in_a_storm_of_faults_every_client_gets_every_event_once_and_digests_are_equal(
    start_server: StartServer,
) -> None:
    """`ZEON_STORM` is the size: 1 by default, which takes up to an hour; 0.05 takes two minutes."""
    print(await storm(start_server, float(os.environ.get("ZEON_STORM", "1")), random.randrange(2**32)))
