"""Strategies that declare longer timeframes and a warm-up: met by server, listing and `zeon lookahead`."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from app.clock import Clock
from app.engine.replay.verify import verify
from tests.support.cli import Cli
from tests.support.client import SESSIONS
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.running_server import running_server
from tests.support.strategies import ONE_CHILD, write

WARM = """
class Warm(Strategy):
    \"\"\"Plots the mean of the last `count` closes of 15 minutes, from its first candle on.\"\"\"

    count: int = 4
    timeframes = ("15m",)

    def warmup(self):
        return 15 * self.count

    def on_start(self):
        self._closes = []

    def on_candle(self, candle):
        if candle.timeframe == "15m":
            self._closes = [*self._closes, candle.close][-self.count :]
        elif not self.warming:
            self.plot("mean", sum(self._closes) / self.count if len(self._closes) == self.count else None)
"""
BODY = {"profileSlug": "warm", "symbol": "BTCUSDT", "timeframe": "1m", "venue": "demo", "replayMsPerCandle": 0}
START = START_MS + 100 * MINUTE
RANGE = {"startMs": START, "endMs": START_MS + 140 * MINUTE}


async def test_a_session_has_what_its_strategy_declares(database: Database, tmp_path: Path) -> None:
    write(tmp_path / "own", "warm", WARM)
    settings = {"strategies": (str(tmp_path / "own"),), **ONE_CHILD}
    async with running_server(database, candles=0, **settings) as server:
        await store(server.served.sim.database, count=200)
        (listed,) = [
            profile
            for profile in (await server.data("GET", "/api/sim/profiles"))["profiles"]
            if profile["slug"] == "warm"
        ]
        assert (listed["timeframes"], listed["warmup"]) == (["15m"], 60)
        session = await server.data("POST", SESSIONS, BODY | RANGE, status=201)
        assert (session["extraTimeframes"], session["warmupCandles"]) == (["15m"], 60)
        await server.data("POST", f"{SESSIONS}/{session['id']}/control", {"action": "step", "candles": 20})
        await server.until(f"{SESSIONS}/{session['id']}", "paused")
        await server.data("POST", f"{SESSIONS}/{session['id']}/resume")
        await server.until(f"{SESSIONS}/{session['id']}", "finished")
        log = (await server.data("GET", f"{SESSIONS}/{session['id']}/events?types=plot"))["events"]
        assert len(log) == 40, "warm from its first candle"
        sim = server.served.sim
        result = await verify(sim.database, Clock(), sim.strategies, session["userId"], UUID(session["id"]))
        assert (result.difference, result.warnings) == (None, [])
        for fields, name in (
            ({"warmupCandles": 59}, "warmupCandles"),
            ({"extraTimeframes": ["5m"]}, "extraTimeframes"),
        ):
            answer = await server.refused(400, "POST", SESSIONS, BODY | RANGE | fields)
            assert answer["error"].startswith(f"{name}: the strategy needs")
        answer = await server.refused(400, "POST", SESSIONS, BODY | RANGE | {"timeframe": "30m"})
        assert answer["error"].startswith("timeframe: the strategy needs longer candles")
        other = await server.data("POST", SESSIONS, BODY | RANGE | {"profileSlug": "sma_cross"}, status=201)
        answer = await server.refused(
            400, "POST", f"{SESSIONS}/{other['id']}/fork", {"atSeq": 0, "profileSlug": "warm"}
        )
        assert answer["error"].startswith("extraTimeframes: the strategy needs 15m too")
    zeon = Cli(database, ZEON_STRATEGIES=tmp_path / "own")
    command = ("lookahead", "warm", "--symbol", "BTCUSDT", "--timeframe", "1m", "--venue", "demo", "--cuts", 2)
    assert zeon.json(*command)["slots"] == 140, "the first 60 candles are the warm-up"
    assert zeon.json(*command, "--start", START)["slots"] == 100
    assert "60 candles before" in zeon.run("profiles").stdout
