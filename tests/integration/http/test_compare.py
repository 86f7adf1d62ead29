"""Several sessions side by side, over HTTP and on the command line."""

from __future__ import annotations

import asyncio
import json
from uuid import uuid4

from psycopg.types.json import Jsonb

from app.candles.sources import synthetic
from app.domain.trading.settings import BrokerConfig
from app.strategies.sma_cross import SmaCross
from tests.support.cli import Cli
from tests.support.client import SESSIONS
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS
from tests.support.running_server import running_server
from tests.support.stored_session import run_strategy, store_session

ON = BrokerConfig(symbols=("BTCUSDT",), timeframe="1m")
COMPARE = "/api/sim/compare"


def stored(database: Database, fast: int, name: str | None = None, minutes: int = 300) -> str:
    values = synthetic.candles("BTCUSDT", "1m", START_MS, START_MS + minutes * MINUTE)
    log = run_strategy(SmaCross(fast=fast, slow=8, side="both"), values, ON)
    config = Jsonb({"fast": fast, "slow": 8})
    columns = {"profile_slug": "sma_cross", "config": config, "start_ms": START_MS, "name": name}
    return str(store_session(database, log, ON, **columns))


async def test_sessions_are_compared(database: Database) -> None:
    ids = [stored(database, 3, "three"), stored(database, 3, minutes=200), stored(database, 5)]
    foreign = stored(database, 3)
    database.query("UPDATE sim_sessions SET user_id = 'other' WHERE id = %s RETURNING id", foreign)
    async with running_server(database, candles=0) as server:
        found = await server.data("GET", f"{COMPARE}?ids={','.join(ids)}&points=50")
        assert [session["id"] for session in found["sessions"]] == ids
        assert found["settings"] == {"config.fast": [3, 3, 5]}
        for index, session_id in enumerate(ids):
            stats = await server.data("GET", f"{SESSIONS}/{session_id}/stats")
            assert {name: values[index] for name, values in found["figures"].items()} == {
                name: value for name, value in stats.items() if name != "seq"
            }
            points = (await server.data("GET", f"{SESSIONS}/{session_id}/equity?points=50"))["points"]
            assert found["curves"][index] == [
                {"ts": point["ts"], "equity": point["equity"], "drawdownPct": point["drawdownPct"]} for point in points
            ]
        part = found["tradesPart"]
        assert part["trades"][0] == part["trades"][1] != part["trades"][2]
        assert part["number"] == 1 or part["trades"][2] is not None
        short = (await server.data("GET", f"{COMPARE}?ids={ids[0]},{ids[1]}"))["tradesPart"]
        assert short["trades"][1] is None
        assert short["trades"][0]["trade"]["side"] in ("LONG", "SHORT")
        assert (await server.data("GET", f"{COMPARE}?ids={ids[0]},{stored(database, 3)}"))["tradesPart"] is None
        for other in (foreign, uuid4()):
            await server.refused(404, "GET", f"{COMPARE}?ids={ids[0]},{other}")
        many = ",".join(str(uuid4()) for _ in range(21))
        for wrong in ("", f"?ids={ids[0]}", f"?ids={ids[0]},{ids[0]}", f"?ids={many}", "?ids=1,2"):
            assert "ids" in (await server.refused(400, "GET", f"{COMPARE}{wrong}"))["error"]
    cli = Cli(database)
    table = (await asyncio.to_thread(cli.run, "sessions", "compare", *ids)).stdout
    assert "config.fast" in table
    assert f"The trades part at trade {part['number']}:" in table
    said = await asyncio.to_thread(cli.json, "sessions", "compare", *ids, "--points", "50")
    assert json.loads(json.dumps(said["figures"])) == found["figures"]
