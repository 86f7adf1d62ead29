"""Statistics, equity curve and exports over HTTP and on the command line, of sessions that trade."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sys
import time
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import httpx2
import psutil
import pyarrow.parquet as pq
import pytest

from app.candles.sources import synthetic
from app.db.log import stats
from app.db.log.events import Row
from app.domain import event
from app.domain.event import TYPES, Event
from app.domain.trading.settings import BrokerConfig
from app.engine.export import encoder
from app.errors import BadInputError
from app.strategies.sma_cross import SmaCross
from tests.support.cli import Cli
from tests.support.client import SESSIONS
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, running_engine, store
from tests.support.running_server import running_server
from tests.support.server_process import StartServer
from tests.support.stored_session import run_strategy, store_session
from tests.support.trading import bars, broker_config, play

ON = BrokerConfig(symbols=("BTCUSDT",), timeframe="1m")
EVIL = '=HYPERLINK("http://evil")</script><img src=x onerror=alert(1)>'


def log() -> list[Event]:
    values = synthetic.candles("BTCUSDT", "1m", START_MS, START_MS + 300 * MINUTE)
    return run_strategy(SmaCross(fast=3, slow=8, side="both"), values, ON)


def evil_log() -> list[Event]:
    actions = {0: lambda self: self.buy(qty=1), 2: lambda self: self.close(reason=EVIL)}
    return play(bars("10", "10", "11", "12", "12"), actions)


async def test_statistics_and_curve_are_answered_exactly(database: Database) -> None:
    session_id = store_session(database, log(), ON)
    async with running_server(database, candles=0) as server:
        path = f"{SESSIONS}/{session_id}"
        first, again = [await server.call("GET", f"{path}/stats") for _ in range(2)]
        assert first.text == again.text
        answered = json.loads(first.text, parse_float=Decimal)["data"]
        row = database.query("SELECT sharpe, expectancy, equity, max_drawdown_ms FROM sim_stats(%s)", session_id)
        named = (answered["sharpe"], answered["expectancy"], answered["equity"], answered["maxDrawdownMs"])
        assert [named] == row
        assert answered["cagrPct"] is None
        described = (await server.call("GET", "/openapi.json")).json()["components"]["schemas"]["StatsAnswer"]
        assert set(described["properties"]) == set(answered)
        points = (await server.data("GET", f"{path}/equity"))["points"]
        assert len(points) == 300
        assert set(points[0]) == {"seq", "ts", "equity", "drawdownPct"}
        assert points[-1]["equity"] == float(answered["equity"])
        assert len((await server.data("GET", f"{path}/equity?points=40"))["points"]) <= 40
        sample = (await server.data("GET", f"{path}/equity?points=40&sample=true"))["points"]
        assert len(sample) == 40
        assert sample[-1] == points[-1]


async def test_figures_are_the_same_when_a_part_of_them_is_kept(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id, other = store_session(database, log(), ON), store_session(database, log()[:-200], ON)
    same = ("stats", "equity?points=5000", "equity?points=2", f"diff/{other}", "events?tail=3&types=equity,trade")
    paths = [f"{SESSIONS}/{session_id}/{path}" for path in (*same, *(f"events?limit=3&types={name}" for name in TYPES))]
    async with running_server(database, candles=0) as server:
        before = [(await server.call("GET", path)).text for path in paths]
        curve = (await server.data("GET", f"{SESSIONS}/{session_id}/equity?points=40"))["points"]
    for module in ("app.engine.kept_figures", "app.web.sim.stats"):
        monkeypatch.setattr(f"{module}.FEW_EVENTS", 0)
    async with running_server(database, candles=0) as server:
        assert [(await server.call("GET", path)).text for path in paths] == before
        of_parts = (await server.data("GET", f"{SESSIONS}/{session_id}/equity?points=40"))["points"]
    ((rows,),) = database.query("SELECT seq FROM sim_kept WHERE session_id = %s", session_id)
    assert rows % 500 == 499
    assert database.query("SELECT sim_keep(%s)", session_id) == [(rows,)]
    assert len(of_parts) <= 40
    assert (of_parts[0], of_parts[-1]) == (curve[0], curve[-1])
    for extreme in (min, max):
        assert extreme(point["equity"] for point in of_parts) == extreme(point["equity"] for point in curve)


WRONG = [
    ("stats?x=1", "x"),
    ("equity?points=1", "points"),
    ("equity?points=5001", "points"),
    ("equity?points=ten", "points"),
    ("equity?sample=perhaps", "sample"),
    ("export", "what"),
    ("export?what=events", "format"),
    ("export?what=prices&format=csv", "what"),
    ("export?what=events&format=xlsx", "format"),
    ("export?what=events&format=csv&limit=1", "limit"),
]


async def test_a_wrong_query_names_its_field(database: Database) -> None:
    session_id = store_session(database, [], ON)
    async with running_server(database, candles=0) as server:
        for call, field in WRONG:
            answer = await server.refused(400, "GET", f"{SESSIONS}/{session_id}/{call}")
            assert answer["error"].startswith(f"{field}: "), call


async def test_results_of_another_users_session_are_not_found(database: Database) -> None:
    theirs = store_session(database, log(), ON, user_id="other")
    async with running_server(database, candles=0) as server:
        for session_id in (theirs, uuid4()):
            for call in ("stats", "equity", "export?what=events&format=csv"):
                await server.refused(404, "GET", f"{SESSIONS}/{session_id}/{call}")


async def test_exports_hold_what_the_log_holds(database: Database) -> None:
    events = log()
    session_id = store_session(database, events, ON)
    async with running_server(database, candles=0) as server:
        path = f"{SESSIONS}/{session_id}"
        page = await server.data("GET", f"{path}/events?limit=10000")
        sent = await server.call("GET", f"{path}/export?what=events&format=ndjson")
        assert [json.loads(line) for line in sent.text.splitlines()] == page["events"]
        assert sent.headers["content-disposition"] == f'attachment; filename="{session_id}-events.ndjson"'
        head = await server.call("HEAD", f"{path}/export?what=events&format=ndjson")
        assert head.headers["content-type"] == sent.headers["content-type"]
        for what, type_ in (("trades", "trade"), ("equity", "equity")):
            payloads = [event.payload for event in events if event.type == type_]
            text = (await server.call("GET", f"{path}/export?what={what}&format=csv")).text
            rows = list(csv.DictReader(io.StringIO(text, newline="")))
            assert [read(row, payloads[0]) for row in rows] == payloads
            body = (await server.call("GET", f"{path}/export?what={what}&format=parquet")).content
            table = pq.read_table(io.BytesIO(body)).to_pylist()
            for row, payload in zip(table, payloads, strict=True):
                for name in ("netPnl", "equity", "fees"):
                    assert name not in payload or row[name] == float(payload[name])
                assert int(row["ts"].timestamp() * 1000) % MINUTE == 0


def read(row: dict[str, str], like: dict[str, object]) -> dict[str, object]:
    """Read a CSV row as the payload it was made from."""
    return {name: row[name] if isinstance(value, str) else Decimal(row[name]) for name, value in like.items()}


async def test_an_export_without_rows_is_a_valid_file(database: Database) -> None:
    path = f"{SESSIONS}/{store_session(database, [], ON)}/export?what=trades&format="
    async with running_server(database, candles=0) as server:
        assert (await server.call("GET", f"{path}ndjson")).text == ""
        assert (await server.call("GET", f"{path}csv")).text.startswith("seq,ts,symbol,")
        assert pq.read_table(io.BytesIO((await server.call("GET", f"{path}parquet")).content)).num_rows == 0


async def test_no_cell_is_a_formula(database: Database) -> None:
    session_id = store_session(database, evil_log(), broker_config())
    async with running_server(database, candles=0) as server:
        path = f"{SESSIONS}/{session_id}/export?what=trades"
        [row] = csv.DictReader(io.StringIO((await server.call("GET", f"{path}&format=csv")).text, newline=""))
        assert row["reason"] == f"'{EVIL}"
        [exact] = pq.read_table(io.BytesIO((await server.call("GET", f"{path}&format=parquet")).content)).to_pylist()
        assert exact["reason"] == EVIL


def test_positions_in_several_symbols_are_one_exact_cell() -> None:
    body = '{"cash": 1.10, "positions": {"BTC": {"qty": 0.0000001, "avgPrice": 2, "value": -3}}}'
    page = encoder("equity", "csv").rows([Row(1, 2, "equity", body)]).decode()
    [row] = csv.DictReader(io.StringIO(page, newline=""))
    assert row["positions"] == '{"BTC":{"qty":0.0000001,"avgPrice":2,"value":-3}}'
    assert (row["cash"], row["positionQty"]) == ("1.1", "")


def test_without_pyarrow_parquet_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BadInputError, match=r"^format: parquet needs the package pyarrow; pip install"):
        encoder("events", "parquet")


async def test_statistics_of_a_running_session_are_those_of_its_log_so_far(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool, count=300)
        session = await engine.start(
            profile_slug="sma_cross", config={"fast": 3, "slow": 8}, end_ms=START_MS + 300 * MINUTE
        )
        seen, state = [], stats.FROM_THE_START
        while not (await engine.get(session.id)).ended:
            result = await engine.pool.run(stats.stats, session.id, state)
            state = result.state
            seen.append(result.figures)
            await asyncio.sleep(0.01)
        finished = await engine.finished(session.id)
        assert finished.status == "finished"
        for figures in seen:
            after = await engine.pool.run(stats.stats, session.id, until_seq=figures["seq"])
            assert after.figures == figures
        assert (await engine.pool.run(stats.stats, session.id)).figures["trades"] > 3


async def test_a_large_export_takes_no_memory(database: Database, start_server: StartServer) -> None:
    """200,000 events, 60 MB: the server grows by far less, whatever the format."""
    session_id = store_session(database, [], ON, last_seq=200_000)
    database.query(
        """
        INSERT INTO sim_events (session_id, seq, ts, type, payload)
        SELECT %s, n, n, 'equity', %s::jsonb FROM generate_series(1, 200000) n
        """,
        session_id,
        event.render({"equity": 1, "pad": "x" * 250}),
    )
    process = start_server(database)
    watched = psutil.Process(process.pid)
    async with httpx2.AsyncClient(base_url=process.url, timeout=60) as client:
        await drain(client, session_id, "trades")
        before, highest = watched.memory_info().rss, 0
        size, began = 0, time.monotonic()
        path = f"{SESSIONS}/{session_id}/export?what=events&format=ndjson"
        async with client.stream("GET", path) as response:
            async for chunk in response.aiter_bytes():
                size += len(chunk)
                highest = max(highest, watched.memory_info().rss)
    assert size > 60_000_000
    print(f"{(highest - before) / 1e6} MB more, {size / 1e6} MB in {time.monotonic() - began} s")
    assert highest - before < 25_000_000


async def drain(client: httpx2.AsyncClient, session_id: UUID, what: str) -> None:
    assert (await client.get(f"{SESSIONS}/{session_id}/export?what={what}&format=ndjson")).status_code == 200


def test_the_command_line_reports_and_exports(database: Database, tmp_path: Path) -> None:
    session_id = store_session(database, evil_log(), broker_config(), profile_slug="none", name=EVIL)
    cli = Cli(database)
    table = cli("report", session_id)
    assert "win rate" in table
    assert "100.00 %" in table
    assert cli.json("report", session_id)["trades"] == 1
    page = tmp_path / "report.html"
    cli("report", session_id, "--html", page)
    text = page.read_text()
    assert "<img src=x" not in text
    assert "=HYPERLINK(&quot;http://evil&quot;)&lt;/script&gt;" in text
    assert "<script src" not in text
    assert "default-src 'none'" in text
    lines = cli("export", session_id).splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))
    out = tmp_path / "trades.parquet"
    cli("export", session_id, "--what", "trades", "--format", "parquet", "--out", out)
    assert pq.read_table(out).num_rows == 1
