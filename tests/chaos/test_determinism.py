"""What `make test` samples, whole: every cut, all candles, long walks, processes that stand still."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

from app.domain.trading.settings import TradingSettings
from tests.reference import needs_data
from tests.support.client import SESSIONS, call, connect
from tests.support.postgres import Database, open_pool
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.scenarios.dropped_runner import COUNT, dropped
from tests.support.scenarios.forks import forked_alike, forked_differently
from tests.support.scenarios.many_symbols import same_digests
from tests.support.scenarios.random_calls import make_random_calls
from tests.support.server_process import QUICK, StartServer, until
from tests.support.session_log import digest, open_times, read_log, row

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]


async def test_dropped_behind_every_tick_and_resumed_the_digest_is_equal(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await dropped(database, monkeypatch, set(range(COUNT - 1)) - {300, 301, 900})


@needs_data
async def test_20_symbols_of_10_000_real_candles_have_one_digest_whatever_the_hash_seed(
    database: Database, start_server: StartServer
) -> None:
    await same_digests(database, start_server, 10_000)


def test_no_walk_of_500_control_calls_changes_what_is_simulated(database: Database, start_server: StartServer) -> None:
    make_random_calls(database, start_server, steps=500)


async def test_forked_at_every_seq_with_changes_it_resumes_and_verifies(database: Database) -> None:
    await forked_differently(database, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"profile_slug": "none", "config": {}},
        {"trading": TradingSettings(record="trades")},
        {"symbols": ("BTCUSDT", "ETHUSDT"), "extra_timeframes": ("5m",), "gap_policy": "fill"},
    ],
    ids=["strategy", "none", "trades", "longer"],
)
async def test_forked_at_every_third_seq_unchanged_the_end_digest_is_the_parent_s(
    database: Database, changes: dict[str, Any]
) -> None:
    await forked_alike(database, 3, changes)


@pytest.mark.parametrize("stall_s", [5, 90])
async def test_a_suspended_process_catches_up_or_moves_its_grid_and_says_so(
    database: Database, start_server: StartServer, stall_s: int
) -> None:
    async with open_pool(database) as side:
        await store(side, count=300)
    server = start_server(database, **QUICK)
    async with connect(server) as client:
        undisturbed = (await client.finished(endMs=START_MS + 300 * MINUTE))["id"]
        session_id = (await client.create(endMs=START_MS + 300 * MINUTE, replayMsPerCandle=100))["id"]
        await call(client, session_id, "start")
        await until(lambda: row(database, session_id, "last_seq") > 20)
        server.signal(signal.SIGSTOP)
        before = row(database, session_id, "last_seq")
        await asyncio.sleep(stall_s)
        server.signal(signal.SIGCONT)
        await asyncio.sleep(1)
        caught_up = row(database, session_id, "last_seq") - before
        assert (caught_up > 10 * stall_s) == (stall_s == 5)
        await client.until(f"{SESSIONS}/{session_id}", "finished", timeout_s=60)
    events = read_log(database, session_id)
    stalls = [event["payload"] for event in events if event["type"] == "control"]
    assert [stall["action"] for stall in stalls] == ["stall"] * (stall_s == 90)
    assert all(stall_s - 2 <= stall["args"]["movedMs"] / 1000 <= stall_s + 2 for stall in stalls)
    assert open_times(events) == [START_MS + number * MINUTE for number in range(300)]
    assert digest(database, session_id) == digest(database, undisturbed)
