"""Cached candles over HTTP: which there are, which are missing and why."""

from __future__ import annotations

import pytest

from app.candles.sources.synthetic import candles as made_up
from app.db import candles as cache
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.running_server import running_server

CANDLES = "/api/market/candles"
BTC = {"symbol": "btc/usdt", "timeframe": "1m", "venue": "demo"}


async def test_candles_are_answered_page_by_page_with_exact_numbers(database: Database) -> None:
    async with running_server(database, candles=100) as server:
        first = (await server.client.get(CANDLES, params=BTC | {"limit": 60})).json()
        assert (len(first["candles"]), first["nextStartMs"], first["gaps"]) == (60, START_MS + 60 * MINUTE, [])
        rest = (await server.client.get(CANDLES, params=BTC | {"startMs": first["nextStartMs"]})).json()
        assert (len(rest["candles"]), rest["nextStartMs"]) == (40, None)
        expected = next(made_up("BTCUSDT", "1m", START_MS, START_MS + MINUTE))
        assert first["candles"][0] == {
            "openTimeMs": START_MS,
            "closeTimeMs": START_MS + MINUTE,
            "open": float(expected.open),
            "high": float(expected.high),
            "low": float(expected.low),
            "close": float(expected.close),
            "volume": float(expected.volume),
        }


async def test_gaps_have_a_reason_where_it_is_known(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        pool = server.served.sim.database
        await store(pool, count=100, without=lambda number: number in (10, 11, 50))
        await pool.run(cache.add_coverage, "demo", "BTCUSDT", "1m", "dump", START_MS, START_MS + 40 * MINUTE)
        query = BTC | {"startMs": START_MS, "endMs": START_MS + 105 * MINUTE}
        gaps = (await server.client.get(CANDLES, params=query)).json()["gaps"]
        assert gaps == [
            {"fromMs": START_MS + 10 * MINUTE, "toMs": START_MS + 12 * MINUTE, "missing": 2, "reason": "notTraded"},
            {"fromMs": START_MS + 50 * MINUTE, "toMs": START_MS + 51 * MINUTE, "missing": 1, "reason": "notFetched"},
            {"fromMs": START_MS + 100 * MINUTE, "toMs": START_MS + 105 * MINUTE, "missing": 5, "reason": "notFetched"},
        ]
        await pool.run(cache.add_coverage, "demo", "BTCUSDT", "1m", "dump", START_MS, START_MS + 100 * MINUTE)
        gaps = (await server.client.get(CANDLES, params=query)).json()["gaps"]
        assert [gap["reason"] for gap in gaps] == ["notTraded", "notTraded", "notPublished"]


async def test_coverage_lists_what_is_cached(database: Database) -> None:
    async with running_server(database, candles=100) as server:
        coverage = (await server.client.get("/api/market/coverage")).json()
        series = {"venue": "demo", "symbol": "BTCUSDT", "timeframe": "1m", "rows": 100, "gaps": 0, "missing": 0}
        series |= {"firstMs": START_MS, "lastMs": START_MS + 99 * MINUTE, "source": None}
        assert coverage == {"coverage": [series]}
        assert (await server.client.get("/api/market/coverage?symbol=ETHUSDT")).json() == {"coverage": []}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"symbol": "no symbol!"}, "symbol"),
        ({"timeframe": "7m"}, "timeframe"),
        ({"startMs": "x"}, "startMs"),
        ({"endMs": "0"}, "endMs"),
        ({"limit": "5001"}, "limit"),
        ({"other": "1"}, "other"),
    ],
)
async def test_bad_input_names_the_field(database: Database, wrong: dict[str, str], field: str) -> None:
    async with running_server(database, candles=0) as server:
        answer = await server.client.get(CANDLES, params=BTC | wrong)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith(field)


async def test_reading_never_writes(database: Database) -> None:
    async with running_server(database, candles=60) as server:
        answer = (await server.client.get(CANDLES, params=BTC | {"timeframe": "15m"})).json()
        assert answer == {"candles": [], "nextStartMs": None, "gaps": []}
        assert len((await server.client.get("/api/market/coverage")).json()["coverage"]) == 1


async def test_a_server_with_a_source_fetches_for_a_market_session(database: Database) -> None:
    async with running_server(database, candles=0, sources="demo=synthetic", venue="demo") as server:
        body = {"symbols": ["BTCUSDT"], "timeframe": "1m", "speed": 100}
        body |= {"start": START_MS, "end": START_MS + 3 * MINUTE}
        session = (await server.client.post("/api/market/sessions", json=body)).json()
        answer = await server.client.post(f"/api/market/sessions/{session['sessionId']}/start", json={})
        assert (answer.status_code, answer.json()) == (200, {"status": "RUNNING"})
        rows = (await server.client.get(CANDLES, params=BTC)).json()["candles"]
        assert len(rows) == 3


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_closed_hours_of_a_venue_with_a_calendar_are_no_gaps(database: Database) -> None:
    pytest.importorskip("exchange_calendars")
    thursday = 1_704_931_200_000  # 2024-01-11; the market opens at 14:30 and closes at 21:00.
    opens = {hour for day in (0, 1) for hour in range(day * 24 + 14, day * 24 + 21)} - {38}
    async with running_server(database, candles=0, calendars="demo=XNYS") as server:
        pool = server.served.sim.database
        await store(pool, timeframe="1h", start_ms=thursday, count=72, without=lambda number: number not in opens)
        query = {"symbol": "BTCUSDT", "timeframe": "1h", "venue": "demo"}
        lacking = {"fromMs": thursday + 38 * 60 * MINUTE, "toMs": thursday + 39 * 60 * MINUTE, "missing": 1}
        assert (await server.client.get(CANDLES, params=query)).json()["gaps"] == [lacking | {"reason": "notFetched"}]
        (series,) = (await server.client.get("/api/market/coverage")).json()["coverage"]
        assert (series["rows"], series["gaps"], series["missing"]) == (13, 1, 1)
