"""Five thousand hostile connections in a minute."""

from __future__ import annotations

import pytest

from tests.support.network.storm import storm
from tests.support.postgres import Database
from tests.support.server_process import StartServer

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


async def test_among_5000_hostile_connections_another_client_is_served_as_before(
    database: Database, start_server: StartServer
) -> None:
    weather = await storm(database, start_server, count=5_000, seconds=60)
    print(weather)
    weather.require_harmless(5_000)
    assert weather.is_fair()
