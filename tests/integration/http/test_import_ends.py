"""Slow imports over HTTP and imports with absurd numbers: the server still answers, and stops when asked to."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.support.postgres import Database
from tests.support.running_server import running_server
from tests.support.server_process import StartServer

IMPORT = "/api/market/import?symbol=X&timeframe=1m"
HEADER = "time,open,high,low,close,volume"
ROWS = {
    "refused": "2024-01-02 10:00:00,10,9,11,10,5\n",
    "one time": "2024-01-02 10:00:00,10,11,9,10,5\n",
}


def upload(url: str, dry_run: str, path: Path, answers: list[int | str]) -> None:
    try:
        with path.open("rb") as file:
            answers.append(httpx2.post(url + IMPORT + dry_run, content=file, timeout=60).status_code)
    except httpx2.HTTPError as error:
        answers.append(type(error).__name__)


@pytest.mark.parametrize(("rows", "dry_run"), [("refused", "&dryRun=true"), ("one time", "")])
def test_a_server_ends_in_the_middle_of_a_large_import(
    database: Database, start_server: StartServer, tmp_path: Path, rows: str, dry_run: str
) -> None:
    path = tmp_path / "large.csv"
    path.write_text(f"{HEADER}\n" + ROWS[rows] * 1_800_000)
    server = start_server(database)
    answers: list[int | str] = []
    sending = threading.Thread(target=upload, args=(server.url, dry_run, path, answers))
    sending.start()
    while not any("zeon-import-" in file.path for file in psutil.Process(server.pid).open_files()):
        assert sending.is_alive(), answers
        time.sleep(0.02)
    time.sleep(1)  # Into the middle of it.
    server.stop(10)
    sending.join()
    assert answers == [503]
    assert "Traceback" not in server.output


async def test_absurd_numbers_are_refused_over_http(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        for number in ("1e999999999", "-1e999999999", "1e-999999999", "9" * 50_000):
            for row in (f"{number},1,2,0.5,1.5,10", f"1704067200000,1,{number},0.5,1.5,10"):
                answer = await server.call("POST", IMPORT, content=f"[[{row}]]".encode())
                assert answer.status_code in (400, 422), answer.text
