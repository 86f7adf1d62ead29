"""Import of a file over HTTP: the file is the body, the answer is the report of the command line."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator

from app.candles.sources.synthetic import candles as made_up
from app.web.market.upload import safe_name
from tests.support.cli import Cli
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS
from tests.support.running_server import InProcessServer, running_server

IMPORT = "/api/market/import"
BTC = {"symbol": "BTC/USDT", "timeframe": "1m", "venue": "binance"}


def rows(count: int = 100, without: range = range(0)) -> str:
    candles = made_up("BTCUSDT", "1m", START_MS, START_MS + count * MINUTE)
    stored = [c for number, c in enumerate(candles) if number not in without]
    return "".join(f"{c.open_time_ms},{','.join(map(str, c[4:9]))}\n" for c in stored)


async def sent(
    server: InProcessServer, content: Any, status: int = 200, headers: dict[str, str] | None = None, **query: str
) -> Any:
    response = await server.client.post(IMPORT, params=query, content=content, headers=headers)
    assert response.status_code == status, response.text
    return response.json()


async def count(server: InProcessServer) -> int:
    series = (await server.client.get("/api/market/coverage")).json()["coverage"]
    return sum(row["rows"] for row in series)


@pytest.mark.parametrize("packed", [False, True])
async def test_a_file_is_imported_with_the_report_of_the_command_line(
    database: Database, tmp_path: Path, packed: bool
) -> None:
    text = rows(100, without=range(40, 45)).encode()
    content = gzip.compress(text) if packed else text
    path = tmp_path / "btc.csv"
    path.write_bytes(content)
    async with running_server(database, candles=0) as server:
        report = await sent(server, content, **BTC, file="btc.csv")
        assert (report["symbol"], report["new"], report["missing"]) == ("BTCUSDT", 95, 5)
        assert report["gaps"] == [{"fromMs": START_MS + 40 * MINUTE, "toMs": START_MS + 45 * MINUTE, "missing": 5}]
        (series,) = (await server.client.get("/api/market/coverage")).json()["coverage"]
        assert (series["rows"], series["spelling"], series["source"]) == (95, "BTC/USDT", "file")
        again = Cli(database).json("candles", "import", path, "--symbol", "btcusdt", "--timeframe", "1m")
        assert {**again, "new": 95, "same": 0} == report


async def test_a_dry_run_says_what_the_command_inspect_says_and_stores_nothing(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "BTCUSDT-1m.csv"
    path.write_text(rows(100, without=range(40, 45)))
    async with running_server(database, candles=0) as server:
        result = await sent(server, path.read_bytes(), dryRun="true", file=path.name)
        assert (result["venue"], result["symbol"], result["timeframe"]) == ("binance", "BTCUSDT", "1m")
        assert (result["rows"], result["missing"], result["question"]) == (95, 5, None)
        assert result["command"] == "zeon candles import BTCUSDT-1m.csv --symbol BTCUSDT --timeframe 1m"
        assert await count(server) == 0
    local = Cli(database).json("candles", "inspect", path)
    assert {**result, "command": ""} == {"venue": "binance", **local, "command": ""}


async def test_answers_are_those_that_openapi_describes(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        described = (await server.client.get("/openapi.json")).json()
        operation = described["paths"][IMPORT]["post"]
        assert operation["requestBody"]["content"] == {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary", "minLength": 1}}
        }
        assert {"symbol", "timeframe", "venue", "dryRun", "timeZone"} <= {
            parameter["name"] for parameter in operation["parameters"]
        }
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        validator = Draft202012Validator({**described, **schema})
        for query in ({}, {"dryRun": "1"}):
            validator.validate(await sent(server, rows(), **BTC, **query))


async def test_how_to_read_a_file_can_be_said(database: Database) -> None:
    text = "Date,Open,High,Low,Close,Volume\n01/02/2024 00:00,1,2,1,2,5\n01/02/2024 00:01,1,2,1,2,5\n"
    async with running_server(database, candles=0) as server:
        assert (await sent(server, text, 400, **BTC))["error"].startswith("dates:")
        assert (await sent(server, text, dryRun="", **BTC))["question"].startswith("dates:")
        report = await sent(server, text, **BTC, dates="dmy", timeZone="Europe/Berlin", stamp="open", decimal="point")
        assert report["firstMs"] == 1_706_742_000_000  # 2024-02-01 00:00 in Berlin.
        for name, value in {
            "dates": "x",
            "timeZone": "Nowhere/City",
            "stamp": "x",
            "columns": "x",
            "decimal": "x",
        }.items():
            error = (await sent(server, text, 400, **BTC, **{name: value}))["error"]
            assert name.lower() in error.lower().replace("time zone", "timezone").replace("time_zone", "timezone")


async def test_a_file_of_which_most_is_refused_stores_nothing_unless_allowed(database: Database) -> None:
    text = (
        "time,open,high,low,close,volume\n"
        + rows(10)
        + "".join(f"{START_MS + n * MINUTE},1,0.5,1,1,5\n" for n in range(10, 40))
    )
    async with running_server(database, candles=0) as server:
        refused = await sent(server, text, 422, **BTC)
        assert (refused["code"], refused["details"]["refused"]) == ("file_rejected", 30)
        assert await count(server) == 0
        assert (await sent(server, text, **BTC, keepGoing="true"))["new"] == 10


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"timeframe": "1m"}, "symbol: is required, unless with dryRun=true"),
        ({"symbol": "BTC"}, "timeframe: is required, unless with dryRun=true"),
        ({"symbol": "A B", "timeframe": "1m"}, "symbol: 'A B' has ' '"),
        ({"symbol": "BTC", "timeframe": "7m"}, "timeframe: '7m' is not one of"),
        ({**BTC, "dryRun": "maybe"}, "dryRun: must be true or false"),
        ({**BTC, "new": "1"}, "new: is not a known field"),
    ],
)
async def test_a_wrong_query_is_named(database: Database, query: dict[str, str], error: str) -> None:
    async with running_server(database, candles=0) as server:
        assert (await sent(server, rows(), 400, **query))["error"].startswith(error)
        assert await count(server) == 0


async def test_what_is_no_file_of_candles_is_a_sentence_without_a_path(database: Database) -> None:
    contents = [
        b"",
        b"\x89PNG\r\n\x1a\n" + bytes(500),
        b"\x1f\x8b\x08cut",
        b"PK\x03\x04cut",
        b"{",
        b"\0" * 1000,
        b"PAR1",
    ]
    async with running_server(database, candles=0) as server:
        for content in contents:
            answer = await sent(server, content, 400, **BTC, file="../../etc/it's a \u202e trap.csv")
            assert tempfile.gettempdir() not in json.dumps(answer)
            if content:
                looked = await sent(server, content, **BTC, dryRun="1", file="../../etc/it's a trap.csv")
                assert looked["question"]
                assert tempfile.gettempdir() not in json.dumps(looked)
        assert await count(server) == 0


async def test_a_file_over_the_limit_is_refused_whether_it_says_its_size_or_not(database: Database) -> None:
    async def pieces(size: int) -> AsyncIterator[bytes]:
        for _ in range(size // 1000):
            yield b"x" * 1000

    async with running_server(database, candles=0, max_import=50_000) as server:
        sentence = "The file is larger than 50000 bytes; use zeon candles import, or raise ZEON_MAX_IMPORT."
        assert (await sent(server, b"x" * 50_001, 413, **BTC))["error"] == sentence
        assert (await sent(server, pieces(60_000), 413, **BTC))["error"] == sentence
        assert (await sent(server, rows(500), **BTC))["new"] == 500


async def test_a_form_gets_an_error_that_says_how_to_send_a_file(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        response = await server.client.post(IMPORT, params=BTC, files={"file": ("btc.csv", rows())})
        assert response.status_code == 415
        assert response.json()["error"] == "The body must be the file itself, not a form: curl --data-binary @FILE."


async def test_a_foreign_page_and_a_stranger_import_nothing(database: Database) -> None:
    async with running_server(database, candles=0, auth="token") as server:
        assert (await sent(server, rows(), 401, **BTC))["error"] == "This call needs a valid token."
        _, secret = await server.token("anna")
        bearer = {"Authorization": f"Bearer {secret}"}
        await sent(server, rows(), 403, headers=bearer | {"Origin": "http://evil.example"}, **BTC)
        assert (await sent(server, rows(), headers=bearer | {"Origin": server.served.url}, **BTC))["new"] == 100


def folders() -> set[Path]:
    """The folders in which files are received."""
    return set(Path(tempfile.gettempdir()).glob("zeon-import-*"))


async def test_an_upload_that_breaks_off_leaves_nothing_behind(database: Database) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield rows(50).encode()
        raise ConnectionError

    before = folders()
    async with running_server(database, candles=0) as server:
        with pytest.raises((ConnectionError, httpx2.HTTPError)):
            await server.client.post(IMPORT, params=BTC, content=half())
        assert await count(server) == 0
        await sent(server, rows(), **BTC)
    assert folders() <= before


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("BTCUSDT-1m-2024.zip", "BTCUSDT-1m-2024.zip"),
        ("../../etc/passwd", "passwd"),
        ("C:\\data\\btc.csv", "btc.csv"),
        ("", "upload"),
        ("..", "upload"),
        ("a\x1bb\n.csv", "a_b_.csv"),
        ("x" * 300 + ".csv", "x" * 116 + ".csv"),
        ("贵州茅台 1d.csv", "贵州茅台 1d.csv"),
    ],
)
def test_a_file_keeps_its_own_name_and_nothing_of_a_path(name: str, stored: str) -> None:
    assert safe_name(name) == stored
