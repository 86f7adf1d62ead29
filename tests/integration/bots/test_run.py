"""`zeon run`: a bot with the addresses and the clock of a session, in lock-step with it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.cli.test_sessions import NEW, START, cli
from tests.support.cli import Cli
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE
from tests.support.server_process import ServerProcess, StartServer
from tests.support.session_log import digest, read_log, row

__all__ = ["cli"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="libfaketime and /proc are there on Linux only")

POLLER = Path(__file__).parent / "poller.py"
COUNT = 20
CLOSES = [START + (n + 1) * MINUTE for n in range(COUNT)]


@pytest.fixture
def server(database: Database, start_server: StartServer) -> ServerProcess:
    return start_server(database)


def new(cli: Cli, count: int = COUNT, *options: object) -> str:
    end = ("--end", START + count * MINUTE)
    return str(cli.json(*NEW, *end, "--profile", "manual", *(options or ("--ms-per-candle", 0)))["id"])


def in_python(code: str) -> tuple[str, ...]:
    """A command that runs some lines of Python."""
    return ("--", sys.executable, "-u", "-c", f"import os, re, time, urllib.request as http\n{code}")


@contextmanager
def busy() -> Iterator[None]:
    """Keep two processors busy."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def test_a_polling_bot_gets_each_candle_at_its_close_whatever_else_the_machine_does(
    cli: Cli, server: ServerProcess, database: Database
) -> None:
    ids = [new(cli) for _ in range(3)]
    command = ("--server", server.url, "--", sys.executable, POLLER)
    outputs = [cli("run", ids[0], *command, 1)]
    with busy():
        outputs.append(cli("run", ids[1], *command, 1))
    outputs.append(cli("run", ids[2], *command, "0.2", "async"))
    for output in outputs:
        seen = [(int(close), int(now)) for close, now in re.findall(r"\| candle (\d+) at (\d+)", output)]
        assert seen == list(zip(CLOSES, CLOSES, strict=True))
    assert len({digest(database, id_) for id_ in ids}) == 1
    commands = [event["payload"] for event in read_log(database, ids[0]) if "command" in event["payload"]]
    assert [command["cursorMs"] for command in commands] == [START + n * MINUTE for n in range(4, COUNT - 2, 5)]
    assert {row(database, id_, "status") for id_ in ids} == {"finished"}
    cli("verify", ids[1])


def test_a_bot_that_sleeps_longer_than_a_candle_gets_each_one_or_lets_them_pass(
    cli: Cli, server: ServerProcess, database: Database
) -> None:
    command = ("--server", server.url, "--", sys.executable, POLLER, 150)
    every, some = (
        re.findall(r"\| candle (\d+) at (\d+)", cli("run", new(cli), *options, *command))
        for options in ((), ("--skip",))
    )
    assert [int(close) for close, _ in every] == CLOSES
    assert [int(now) for _, now in every][:3] == [START + n * 150_000 for n in (1, 2, 3)]
    assert [int(close) for close, _ in some] == CLOSES
    assert len({now for _, now in some}) < COUNT / 2


def test_the_bot_has_the_addresses_its_exit_code_counts_and_its_output_goes_to_a_file(
    cli: Cli, server: ServerProcess, database: Database, tmp_path: Path
) -> None:
    id_, log, requests = new(cli), tmp_path / "log", tmp_path / "requests"
    code = """
import json, sys
print(json.load(open(sys.argv[1]))["exchange"]["name"], sys.argv[2] == os.environ["ZEON_BOT_SESSION"])
answer = http.urlopen(os.environ["ZEON_BOT_URL"] + "/api/v3/time").read().decode()
print(answer, time.time())
http.urlopen(http.Request(os.environ["ZEON_BOT_URL"] + "/api/v3/order", method="DELETE"))
"""
    done = cli.run(
        "run", id_, "--server", server.url, "--log", log, "--requests", requests, *in_python(code), "{freqtrade}",
        "{session}", code=1,
    )  # fmt: skip
    assert done.stdout == ""
    lines = log.read_text().splitlines()
    assert lines[0] == "2024-01-01 00:00:00Z | binance True"
    assert lines[1] == f'2024-01-01 00:00:00Z | {{"serverTime":{START}}} {START / 1000}'
    assert "HTTP Error 400" in lines[-1]
    assert requests.read_text().splitlines() == [
        "2024-01-01 00:00:00Z GET /x/binance/…/api/v3/time 200",
        "2024-01-01 00:00:00Z DELETE /x/binance/…/api/v3/order 400",
    ]
    assert cli.json("bot-key", "list", id_) == []
    assert cli.run("run", id_, "--server", server.url, *in_python("raise SystemExit(7)"), code=7)
    assert "{nothing} is not one of {server}" in cli.error("run", id_, "--server", server.url, "--", "x", "{nothing}")
    assert "cannot be started" in cli.error("run", id_, "--server", server.url, "--", "/no/such/bot")
    assert row(database, id_, "status") == "created"
    database.query("SELECT sim_stop(%s)", id_)
    assert "is stopped; fork it" in cli.error("run", id_, "--", "true")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_handed_on(cli: Cli, server: ServerProcess, number: signal.Signals) -> None:
    """Also where SIGINT was ignored before, as in the background of a shell."""
    code = """
import signal
def end(number, frame):
    raise KeyboardInterrupt
signal.signal(signal.SIGTERM, end)
try:
    print("ready")
    time.sleep(10**9)
except KeyboardInterrupt:
    time.sleep(0.1)
    print("ended")
    raise SystemExit(5)
"""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with cli.start("run", new(cli), "--server", server.url, *in_python(code)) as process:
            assert process.stdout is not None
            assert process.stdout.readline().endswith("| ready\n")
            process.send_signal(number)
            assert process.wait(20) == 5
            assert process.stdout.read().endswith("| ended\n")
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_bot_without_a_clock_steps_the_session_itself(cli: Cli, server: ServerProcess, database: Database) -> None:
    id_ = new(cli)
    code = """
url = f"{os.environ['ZEON_BOT_SERVER']}/api/sim/sessions/{os.environ['ZEON_BOT_SESSION']}"
body = b'{"action": "step", "candles": 3, "wait": true}'
http.urlopen(http.Request(url + "/control", body, {"Content-Type": "application/json"}))
print(http.urlopen(url + "/clock").read().decode(), time.time() > 1.75e9)
"""
    output = cli("run", id_, "--server", server.url, "--no-clock", *in_python(code))
    assert f'"nowMs":{START + 3 * MINUTE}' in output.replace(" ", "")
    assert output.endswith("True\n")
    assert row(database, id_, "cursor_ms") == START + 2 * MINUTE


def test_free_the_session_runs_at_its_pace_and_the_clock_follows(
    cli: Cli, server: ServerProcess, database: Database
) -> None:
    id_ = new(cli, COUNT, "--speed", 200)
    code = """
began, real = time.time(), time.monotonic()
time.sleep(200)
print(time.time() - began, time.monotonic() - real)
"""
    output = cli("run", id_, "--server", server.url, "--free", *in_python(code))
    simulated, real = map(float, output.split("|")[1].split())
    assert 200 <= simulated < 260
    assert 0.6 < real < 10
    assert row(database, id_, "status") == "paused"


def test_a_bot_that_follows_a_stream_gets_each_candle_before_the_next(
    cli: Cli, server: ServerProcess, database: Database
) -> None:
    code = r"""
url = f"{os.environ['ZEON_BOT_SERVER']}/api/sim/sessions/{os.environ['ZEON_BOT_SESSION']}"
http.urlopen(url + "/events?types=candle")
for line in http.urlopen(url + "/stream?types=candle"):
    if found := re.search(rb'closeTimeMs": (\d+)', line):
        print(found[1].decode(), round(time.time() * 1000))
"""
    output = cli("run", new(cli), "--server", server.url, *in_python(code))
    pairs = re.findall(r"\| (\d+) (\d+)$", output, re.MULTILINE)
    assert [int(close) for close, _ in pairs] == CLOSES
    assert all(now == close for close, now in pairs)
