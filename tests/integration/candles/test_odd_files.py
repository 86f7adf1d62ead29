"""Files that are not what they seem: through the command, as a source over HTTP, and interrupted."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import time
import zipfile
from decimal import Decimal
from pathlib import Path

import psutil
import pytest

from app.db import candles as cache
from app.domain.market.candle import Candle
from tests.support.cli import Cli
from tests.support.client import SESSIONS
from tests.support.postgres import Database
from tests.support.running_server import running_server

HEADER = "time,open,high,low,close,volume"
ROW = "2024-01-02,10,12,9,11,5"
DAY = 1_704_153_600_000


def _zip(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


ODD: dict[str, bytes] = {
    "empty": b"",
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20,
    "noise": bytes(range(256)) * 20,
    "zeros": bytes(5_000),
    "one-line": b"1," * 200_000,
    "cut-gzip": gzip.compress(f"{HEADER}\n{ROW}\n".encode() * 2_000)[:60],
    "no-gzip": b"\x1f\x8b\x08\x00 and nothing",
    "no-zip": b"PK\x03\x04 and nothing",
    "no-xz": b"\xfd7zXZ\x00 and nothing",
    "no-bz2": b"BZh9 and nothing",
    "no-zst": b"\x28\xb5\x2f\xfd and nothing",
    "no-parquet": b"PAR1 and nothing PAR1",
    "no-feather": b"ARROW1 and nothing ARROW1",
    "empty-zip": _zip(),
    "zip-of-pictures": _zip(**{"a.png": b"\x89PNG"}),
    "zip-of-zip": _zip(**{"a.zip": _zip(a=b"x"), "b.zip": _zip(a=b"x")}),
    "workbook": _zip(**{"[Content_Types].xml": b"x", "xl/workbook.xml": b"x"}),
    "html": b"<html><body>Too many requests</body></html>",
    "deep-json": b"[" * 100_000,
    "cut-json": b'[{"open": 1, "high": 2',
    "exponent": b"[[1704067200000,1,2,0.5,1.5,10],[1e999999999,1,2,0.5,1.5,10]]",
    "digits": b"[[" + b"9" * 50_000 + b",1,2,0.5,1.5,10]]",
    "json-word": b'{"s": "no_data", "nextTime": 1704067200}',
    "no-times": f"{HEADER}\nx,1,1,1,1,1\n".encode(),
    "other-dates": f"{HEADER}\n03/04/2024,1,1,1,1,1\n".encode(),
    "two-instruments": b"symbol,time,open,high,low,close\nA,2024-01-02,1,1,1,1\nB,2024-01-02,1,1,1,1\n",
    "other-steps": "\n".join([HEADER, *(f"2024-01-02 {hour:02}:00,1,1,1,1,1" for hour in range(24))]).encode(),
    "years": f"{HEADER}\n0001-01-01 00:00+14:00,1,1,1,1,1\n9999-12-31 23:59-12:00,1,1,1,1,1\n".encode(),
}
"""None of them holds a daily candle that can be stored as it is."""

ANSWERABLE = ("other-dates", "two-instruments", "other-steps")
"""Those that hold candles once an option is given."""


@pytest.mark.parametrize("name", ODD)
def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(database: Database, tmp_path: Path, name: str) -> None:
    path = tmp_path / "odd.csv"
    path.write_bytes(ODD[name])
    cli = Cli(database)
    done = cli.run("candles", "import", path, "--symbol", "X", "--timeframe", "1d", code=1)
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
    done = cli.run("candles", "inspect", path, code=0 if name in ANSWERABLE else 1)
    assert "Traceback" not in done.stderr
    assert database.query("SELECT count(*) FROM market_candles") == [(0,)]


def test_what_is_no_regular_file_is_refused_at_once(database: Database, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    cli = Cli(database)
    errors = {
        tmp_path / "pipe": "is not a regular file",
        Path("/dev/zero"): "is not a regular file",
        tmp_path / "folder": "there is no file named X and 1d",
    }
    for path, words in errors.items():
        assert words in cli.error("candles", "import", path, "--symbol", "X", "--timeframe", "1d")


def test_odd_files_of_a_folder_are_named_and_the_others_stored(database: Database, tmp_path: Path) -> None:
    for number, data in enumerate([*ODD.values(), f"{HEADER}\n{ROW}\n".encode()]):
        (tmp_path / f"X-1d-{number:02}.csv").write_bytes(data)
    os.mkfifo(tmp_path / "X-1d-pipe.csv")
    done = Cli(database).run("candles", "import", tmp_path, "--symbol", "X", "--timeframe", "1d", "--json", code=1)
    report = json.loads(done.stdout)
    assert report["new"] == 1
    for words in ("X-1d-00.csv: file: it is empty", "X-1d-01.csv: file: it is a picture"):
        assert words in report["broke"]


def test_odd_members_of_an_archive_are_named_and_the_others_stored(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "all.zip"
    good = f"{HEADER}\n{ROW}\n".encode()
    path.write_bytes(_zip(**{"X-1d-1.csv": ODD["picture"], "X-1d-2.csv": good, "X-1d-3.csv": ODD["other-dates"]}))
    done = Cli(database).run("candles", "import", path, "--symbol", "X", "--timeframe", "1d", "--json", code=1)
    report = json.loads(done.stdout)
    assert report["new"] == 1
    assert "X-1d-1.csv: file: it is a picture" in report["broke"]
    assert "X-1d-3.csv: dates: " in report["broke"]


async def test_a_session_on_an_odd_file_as_source_is_never_500(database: Database, tmp_path: Path) -> None:
    for number, data in enumerate(ODD.values()):
        (tmp_path / f"X{number}-1d.csv").write_bytes(data)
    (tmp_path / "GOOD-1d.csv").write_bytes(f"{HEADER}\n{ROW}\n".encode("utf-16"))
    async with running_server(database, candles=0, sources=f"t=csv:{tmp_path}") as served:
        form = {"venue": "t", "timeframe": "1d", "startMs": DAY, "endMs": DAY + 86_400_000}
        for number, name in enumerate(ODD):
            session = await served.create(symbol=f"X{number}", **form)
            answer = await served.call("POST", f"{SESSIONS}/{session['id']}/start")
            assert answer.status_code in (400, 422, 503), (name, answer.text)
            assert answer.json()["error"]
        session = await served.finished(symbol="GOOD", **form)
        assert session["status"] == "finished"


@pytest.mark.parametrize("command", ["import", "inspect"])
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_command_at_a_large_file_ends_when_it_is_told_to(
    database: Database, tmp_path: Path, command: str, sign: signal.Signals
) -> None:
    """All rows are refused, so that nothing is sent to the database in between."""
    path = tmp_path / "large.csv"
    path.write_text(f"{HEADER}\n" + "2024-01-02 10:00:00,10,9,11,10,5\n" * 1_000_000)
    arguments = ("candles", command, path, "--symbol", "X", "--timeframe", "1m")
    with Cli(database).start(*arguments, stderr=-1) as process:
        deadline = time.monotonic() + 60
        while not any(file.path == str(path) for file in psutil.Process(process.pid).open_files()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(1)  # Into the middle of it.
        process.send_signal(sign)
        _, stderr = process.communicate(timeout=20)
    assert process.returncode != 0
    assert "Traceback" not in stderr
    assert database.query("SELECT count(*) FROM market_candles") == [(0,)]


@pytest.mark.timeout(120)
async def test_many_rows_of_one_time_are_one_candle(database: Database) -> None:
    """Each pair of equal times was looked at once: 100,000 rows took most of an hour."""
    from app.db.pool import Database as Pool

    pool = Pool(database.url, size=1)
    await pool.open()
    try:
        candle = Candle("X", "1m", DAY, DAY + 60_000, *(Decimal(2),) * 5)
        rows = (candle._replace(volume=Decimal(number)) for number in range(100_000))
        stored = await pool.run(cache.store, "binance", "X", "1m", rows)
        assert stored.new == 1
        assert (await pool.run(cache.last_before, "binance", "X", "1m", DAY + 1))[0].volume == 99_999
    finally:
        await pool.close()
