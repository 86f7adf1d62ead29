"""10,000 malformed requests and frames to the exchange face."""

from __future__ import annotations

import pytest

from tests.support.network.bot import bot
from tests.support.postgres import Database
from tests.support.running_server import running_server
from tests.support.scenarios.malformed_bots import orders_in_the_log, send_malformed

pytestmark = pytest.mark.chaos


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(4))
async def test_2500_malformed_calls_get_no_error_of_the_server_and_lose_no_order(database: Database, seed: int) -> None:
    async with running_server(database, rate=10_000) as server:
        trader = await bot(server)
        await trader.step(2)
        outcome = await send_malformed(trader, seed=100 + seed, count=2500)
        assert outcome.statuses[400] > 500
        assert len(await orders_in_the_log(trader)) == outcome.placed >= 50
