"""Malformed requests and frames: refusals in the form of the exchange, and orders neither lost nor doubled."""

from __future__ import annotations

from tests.support.network.bot import bot
from tests.support.postgres import Database
from tests.support.running_server import running_server
from tests.support.scenarios.malformed_bots import orders_in_the_log, send_malformed


async def test_malformed_calls_are_refused_and_change_nothing(database: Database) -> None:
    async with running_server(database) as server:
        trader = await bot(server)
        await trader.step(2)
        outcome = await send_malformed(trader, seed=1, count=150)
        assert outcome.statuses[400] > 20
        assert len(await orders_in_the_log(trader)) == outcome.placed >= 3
