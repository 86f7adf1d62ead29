"""Symbols as the world writes them: any spelling is accepted, one form is stored, the first spelling is shown."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import psycopg
import pytest

from app.candles.imports.importer import import_file
from app.candles.sources.exchange import Exchange
from app.candles.sources.folder import Folder
from app.candles.sources.synthetic import candles as made_up
from app.clock import Clock
from app.db import candles as cache
from app.db import symbols
from app.domain.market.symbol import normalize_symbol
from app.domain.market.timeframe import TIMEFRAMES
from app.engine.replay.verify import verify
from app.errors import BadInputError
from tests.support.cli import Cli
from tests.support.client import SESSIONS
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.running_server import InProcessServer, running_server

SPELLINGS = {
    "btc/usdt:usdt": "BTCUSDT:USDT",
    "^gspc": "^GSPC",
    "eurusd=x": "EURUSD=X",
    "brk.b": "BRK.B",
    "m&m": "M&M",
    "c+": "C+",
    "贵州-茅台": "贵州茅台",
    "сбер_руб": "СБЕРРУБ",
}
KEYS = ("demo", "BTCUSDT", "1m")
USER = "local"

Connection = psycopg.AsyncConnection


@pytest.fixture
async def conn(database: Database) -> AsyncIterator[Connection]:
    async with await Connection.connect(database.url, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def served(database: Database) -> AsyncIterator[InProcessServer]:
    """A server with 100 candles of each symbol."""
    async with running_server(database, candles=0) as server:
        for stored in SPELLINGS.values():
            await store(server.served.sim.database, symbol=stored)
        yield server


def written(folder: Path, symbol: str = "X", name: str = "file.csv", first: int = 0) -> Path:
    path = folder / name
    candles = made_up(symbol, "1m", START_MS + first * MINUTE, START_MS + (first + 10) * MINUTE)
    path.write_text("".join(f"{c.open_time_ms},{','.join(map(str, c[4:9]))}\n" for c in candles))
    return path


async def verified(server: InProcessServer, session_id: Any) -> bool:
    sim = server.served.sim
    return (await verify(sim.database, Clock(), sim.strategies, USER, session_id, sim.calendars)).difference is None


@pytest.mark.parametrize("text", SPELLINGS)
async def test_a_session_of_one_such_symbol_runs_and_computes_its_log_again(served: InProcessServer, text: str) -> None:
    session = await served.finished(profileSlug="sma_cross", symbol=text, config={"fast": 3, "slow": 7})
    assert session["symbols"] == [SPELLINGS[text]]
    events = (await served.data("GET", f"{SESSIONS}/{session['id']}/events?types=candle,order,fill,trade"))["events"]
    assert {event["payload"]["symbol"] for event in events} == {SPELLINGS[text]}
    assert {event["type"] for event in events} == {"candle", "order", "fill", "trade"}
    assert await verified(served, session["id"])


async def test_a_session_of_all_of_them_streams_exports_forks_and_computes_its_log_again(
    served: InProcessServer,
) -> None:
    request = {"profileSlug": "sma_cross", "symbol": None, "config": {"fast": 3, "slow": 7}, "extraTimeframes": ["5m"]}
    session = await served.finished(**{**request, "symbols": list(SPELLINGS)})
    path = f"{SESSIONS}/{session['id']}"
    assert await verified(served, session["id"])
    async with served.stream(session["id"]) as stream:
        streamed = [m["payload"]["symbol"] for m in await stream.rest() if m["type"] == "candle"]
    assert streamed[: len(SPELLINGS)] == list(SPELLINGS.values())
    equity = (await served.data("GET", f"{path}/events?types=equity&limit=1"))["events"][0]["payload"]
    assert set(equity["positions"]) == set(SPELLINGS.values())
    exported = await served.client.get(f"{path}/export?what=trades&format=csv")
    traded = {
        event["payload"]["symbol"] for event in (await served.data("GET", f"{path}/events?types=trade"))["events"]
    }
    assert len(traded) > 4
    assert {row["symbol"] for row in csv.DictReader(exported.text.splitlines())} == traded
    fork = await served.data("POST", f"{path}/fork", {"atSeq": session["lastSeq"] // 2}, status=201)
    await served.data("POST", f"{SESSIONS}/{fork['id']}/start")
    ended = await served.until(f"{SESSIONS}/{fork['id']}", "finished")
    assert ended["digest"] == session["digest"]
    assert (await served.data("GET", f"{path}/stats"))["trades"] > 0


async def test_two_spellings_of_one_symbol_in_a_session_are_one_given_twice(served: InProcessServer) -> None:
    request = {"symbol": None, "symbols": ["BTC/USDT:USDT", "btc-usdt:usdt"]}
    answer = await served.refused(
        400, "POST", SESSIONS, {"profileSlug": "none", "timeframe": "1m", "startMs": 0} | request
    )
    assert answer["error"] == "symbols: BTCUSDT:USDT is given twice"


async def test_the_market_dialect_takes_and_tells_them(served: InProcessServer) -> None:
    schema = json.loads((Path(__file__).parents[3] / "examples" / "market-stream.schema.json").read_text())
    request = {"symbols": list(SPELLINGS), "timeframe": "1m", "venue": "demo", "speed": 100}
    body = request | {"start": START_MS, "end": START_MS + MINUTE}
    session_id = (await served.call("POST", "/api/market/sessions", body)).json()["sessionId"]
    await served.call("POST", f"/api/market/sessions/{session_id}/start")
    await served.until(f"{SESSIONS}/{session_id}", "finished")
    stream = (await served.client.get(f"/api/market/sessions/{session_id}/stream")).text
    messages = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: ")]
    assert [m["symbol"] for m in messages if m["type"] == "candle"] == list(SPELLINGS.values())
    for message in messages:
        jsonschema.validate(message, schema)


@pytest.mark.parametrize("text", SPELLINGS)
async def test_candles_and_coverage_are_found_in_any_spelling(served: InProcessServer, text: str) -> None:
    for spelling in (text, SPELLINGS[text], SPELLINGS[text].lower()):
        request = {"symbol": spelling, "timeframe": "1m", "venue": "demo"}
        result = (await served.client.get("/api/market/candles", params=request)).json()
        assert len(result["candles"]) == 100
        (series,) = (await served.client.get("/api/market/coverage", params=request)).json()["coverage"]
        assert series["symbol"] == SPELLINGS[text]


async def test_a_running_session_hears_of_candles_of_each_of_them(database: Database) -> None:
    last_ms = START_MS + 5 * MINUTE
    async with running_server(database, candles=0, poll_ms=60_000) as server:
        for stored in SPELLINGS.values():
            await store(server.served.sim.database, symbol=stored, count=5)
            session = await server.create(symbol=stored, endMs=None, gapPolicy="skip")
            await server.data("POST", f"{SESSIONS}/{session['id']}/start")
            async with server.stream(session["id"]) as stream:
                await stream.until(lambda m: m["type"] == "caught_up")
                await store(server.served.sim.database, symbol=stored, count=6)
                await stream.until(lambda m: m.get("payload", {}).get("candle", {}).get("openTimeMs") == last_ms)
            await server.data("POST", f"{SESSIONS}/{session['id']}/stop")


async def test_series_whose_names_are_alike_do_not_lock_each_other(database: Database) -> None:
    """The key of a lock joins venue, symbol and timeframe by colons, and a symbol may hold some."""
    async with (
        await Connection.connect(database.url) as first,
        await Connection.connect(database.url, autocommit=True) as other,
    ):
        await other.execute("SET lock_timeout = '100ms'")
        await cache.store(first, "demo", "A:B", "1m", made_up("A:B", "1m", START_MS, START_MS + MINUTE))
        for symbol in ("A", "B", "A:B:1M", "A:B:C"):
            await cache.store(other, "demo", symbol, "1m", made_up(symbol, "1m", START_MS, START_MS + MINUTE))
        await first.rollback()


async def test_the_first_spelling_is_kept_and_shown(conn: Connection, tmp_path: Path, database: Database) -> None:
    for number, text in enumerate(("Btc-Usdt", "BTC/USDT", "BTCUSDT")):
        await import_file(conn, written(tmp_path, first=10 * number), "demo", text, "1m")
    (series,) = await cache.coverage(conn, "demo")
    assert (series.symbol, series.spelling, series.rows) == ("BTCUSDT", "Btc-Usdt", 30)
    assert "Btc-Usdt" in Cli(database)("candles", "list")
    async with running_server(database, candles=0) as server:
        (series,) = (await server.client.get("/api/market/coverage")).json()["coverage"]
        assert (series["symbol"], series["spelling"]) == ("BTCUSDT", "Btc-Usdt")


async def test_symbols_that_differ_in_where_their_separators_are_do_not_become_one(
    conn: Connection, tmp_path: Path
) -> None:
    await import_file(conn, written(tmp_path), "demo", "ABC", "1m")
    await import_file(conn, written(tmp_path), "demo", "A-BC", "1m")
    with pytest.raises(BadInputError) as refused:
        await import_file(conn, written(tmp_path, "Y", first=20), "demo", "AB/C", "1m")
    assert refused.value.message == (
        "symbol: AB/C and A-BC, of which venue demo has candles, would both be stored as ABC;"
        " write A-BC if they are the same, else name another venue"
    )
    assert len([c async for c in cache.read(conn, "demo", "ABC", "1m", 0, 2**60)]) == 10
    for text in ("a/bc", "ABC"):
        await import_file(conn, written(tmp_path), "demo", text, "1m")
    await import_file(conn, written(tmp_path), "bybit", "AB/C", "1m")


async def test_a_spelling_goes_with_the_last_series(conn: Connection, tmp_path: Path) -> None:
    for timeframe in ("1m", "5m"):
        await import_file(conn, written(tmp_path), "demo", "A-BC", "1m")
        await cache.add_coverage(conn, "demo", "ABC", timeframe, "file", 0, 1)
    await cache.delete(conn, "demo", "ABC", "1m")
    assert await symbols.spelling_for_files(conn, "demo", "ABC") == "A-BC"
    await cache.delete(conn, "demo", "ABC", "5m")
    assert await symbols.spelling_for_files(conn, "demo", "ABC") == "ABC"
    await import_file(conn, written(tmp_path), "demo", "AB/C", "1m")


async def test_series_stored_before_spellings_were_kept_are_shown_as_they_are(conn: Connection, tmp_path: Path) -> None:
    await cache.store(conn, *KEYS, made_up("BTCUSDT", "1m", START_MS, START_MS + MINUTE))
    assert (await cache.coverage(conn))[0].spelling == "BTCUSDT"
    await import_file(conn, written(tmp_path), "demo", "BTC/USDT", "1m")
    (series,) = await cache.coverage(conn)
    assert (series.symbol, series.spelling, series.rows) == ("BTCUSDT", "BTC/USDT", 10)


@pytest.mark.parametrize("text", ["BTC-USDT", "ＢＲＫ．Ｂ", *(text for text in SPELLINGS if text != "сбер_руб")])
def test_sql_makes_the_same_stored_form(any_database: Database, text: str) -> None:
    assert any_database.query("SELECT candle_symbol(%s)", text) == [(normalize_symbol(text),)]


async def test_functions_in_psql_take_any_spelling(conn: Connection, database: Database, tmp_path: Path) -> None:
    await import_file(conn, written(tmp_path), "demo", "BTC/USDT", "1m")
    end_ms = START_MS + 12 * MINUTE
    arguments = ("demo", "btc-usdt", "1m", START_MS, end_ms)
    expected = [(START_MS + 10 * MINUTE, end_ms, 2)]
    assert database.query("SELECT * FROM candle_gaps(%s, %s, %s, %s, %s)", *arguments) == expected
    assert database.query("SELECT candle_delete(%s, %s, %s)", "demo", "btc_usdt", "1m") == [(10,)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("BTC/USDT:USDT", "BTC_USDT_USDT-1m-futures.csv"),
        ("^GSPC", "^GSPC-1m.csv"),
        ("^GSPC", "GSPC_1m.csv"),
        ("BRK.B", "BRK-B-1m.csv"),
        ("EURUSD=X", "eurusdx-1m.csv"),
        ("贵州茅台", "贵州茅台-1m.csv"),
    ],
)
async def test_a_folder_maps_a_symbol_to_the_names_of_its_files(
    conn: Connection, tmp_path: Path, text: str, name: str
) -> None:
    written(tmp_path, name=name)
    written(tmp_path, name="OTHER-1m.csv", first=50)
    report = await import_file(conn, tmp_path, "demo", text, "1m")
    assert (report.symbol, report.new, report.first_ms) == (normalize_symbol(text), 10, START_MS)
    part = await anext(Folder(str(tmp_path)).fetch(report.symbol, TIMEFRAMES["1m"], START_MS, START_MS + 99 * MINUTE))
    assert len(part.rows) == 10


async def test_of_two_files_the_one_with_the_symbol_s_own_name_is_taken(conn: Connection, tmp_path: Path) -> None:
    written(tmp_path, name="BRKB-1m.csv", first=50)
    written(tmp_path, name="BRK.B-1m.csv")
    assert (await import_file(conn, tmp_path, "demo", "BRK.B", "1m")).first_ms == START_MS


def market(base: str, quote: str, settle: str = "", kind: str = "spot", expiry: str = "") -> dict[str, Any]:
    """A market as ccxt describes it."""
    unified = f"{base}/{quote}" + (f":{settle}" if settle else "") + (f"-{expiry}" if expiry else "")
    market_id = base + quote + (f"_{expiry}" if expiry else "")
    return {"id": market_id, "symbol": unified, "base": base, "quote": quote, kind: True}


MARKETS = [
    market("BTC", "USDT"),
    market("BTC", "USDT", "USDT", "future", "240329"),
    market("BTC", "USDT", "USDT", "swap"),
    market("ETH", "USDT"),
    market("币安人生", "USDT"),
]


@pytest.mark.parametrize(
    ("symbol", "kind", "chosen"),
    [
        ("BTCUSDT", "spot", "BTC/USDT"),
        ("BTCUSDT", "swap", "BTC/USDT:USDT"),
        ("BTCUSDT:USDT", "spot", "BTC/USDT:USDT"),
        ("BTCUSDT:USDT240329", "future", "BTC/USDT:USDT-240329"),
        ("BTCUSDT240329", "future", "BTC/USDT:USDT-240329"),
        ("币安人生USDT", "spot", "币安人生/USDT"),
    ],
)
def test_an_exchange_maps_a_symbol_to_its_own_name(symbol: str, kind: str, chosen: str) -> None:
    assert Exchange(f"x/{kind}").best_market(symbol, MARKETS)["symbol"] == chosen


def test_an_exchange_without_the_symbol_or_with_two_of_its_stored_form_says_so() -> None:
    both = [market("A", "BC"), market("AB", "C")]
    with pytest.raises(BadInputError, match=r"^symbol: x has A/BC and AB/C, which are both ABC here$"):
        Exchange("x").best_market("ABC", both)
    with pytest.raises(BadInputError, match=r"^symbol: x has no ABCD$"):
        Exchange("x").best_market("ABCD", both)
