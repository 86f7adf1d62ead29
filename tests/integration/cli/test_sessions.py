"""`zeon sessions` and `zeon tail` with a running server, and without one."""

from __future__ import annotations

import asyncio
import json
import signal
import time

import psycopg
import pytest

from app.candles.sources import synthetic
from app.db import candles
from app.db.pool import Database as Pool
from tests.support.cli import Cli
from tests.support.postgres import Database
from tests.support.server_process import StartServer

START = 1_704_067_200_000
MINUTE = 60_000
NEW = ("sessions", "create", "--symbol", "btc-usdt", "--timeframe", "1m", "--venue", "demo", "--start", "2024-01-01")
DAY = ("--end", "2024-01-02")


@pytest.fixture
def cli(database: Database) -> Cli:
    asyncio.run(store_a_day(database))
    return Cli(database)


async def store_a_day(database: Database) -> None:
    pool = Pool(database.url, size=1)
    await pool.open()
    made_up = synthetic.candles("BTCUSDT", "1m", START, START + 1440 * MINUTE)
    await pool.run(candles.store, "demo", "BTCUSDT", "1m", made_up)
    await pool.close()


def until_seq(database: Database, seq: int) -> None:
    """Wait until the only session's log has grown beyond a seq."""
    deadline = time.monotonic() + 20
    while database.query("SELECT last_seq FROM sim_sessions")[0][0] <= seq:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_session_is_created_started_paused_resumed_and_stopped(
    cli: Cli, database: Database, start_server: StartServer
) -> None:
    start_server(database)
    session = cli.json(*NEW, *DAY, "--ms-per-candle", 50, "--name", "mine")
    assert (session["status"], session["symbols"], session["lastSeq"]) == ("created", ["BTCUSDT"], 0)
    session_id = session["id"]
    assert cli.json("sessions", "start", session_id)["status"] == "running"
    assert cli.json("sessions", "start", session_id)["status"] == "running"
    until_seq(database, 5)
    paused = cli.json("sessions", "pause", session_id)
    assert paused["status"] == "paused"
    assert cli.json("sessions", "show", session_id)["lastSeq"] == paused["lastSeq"]
    cli("sessions", "pace", session_id, "--ms-per-candle", 200)
    assert cli.json("sessions", "resume", session_id)["replayMsPerCandle"] == 200
    until_seq(database, paused["lastSeq"] + 10)
    assert "running" in cli("sessions", "list")
    assert "running" in cli.error("sessions", "delete", session_id)
    stopped = cli.json("sessions", "stop", session_id)
    assert cli.error("sessions", "start", session_id) == "The session is stopped; start is not possible."
    assert database.query("SELECT count(*), max(seq) FROM sim_events") == [(stopped["lastSeq"], stopped["lastSeq"])]
    cli("sessions", "delete", session_id)
    assert database.query("SELECT count(*) FROM sim_events") == [(0,)]


def test_a_session_that_was_only_created_is_resumed_as_started(
    cli: Cli, database: Database, start_server: StartServer
) -> None:
    start_server(database)
    session_id = cli.json(*NEW, *DAY, "--ms-per-candle", 50)["id"]
    assert cli.json("sessions", "resume", session_id)["status"] == "running"
    until_seq(database, 2)
    assert database.query("SELECT payload ->> 'reason' FROM sim_events WHERE seq = 1") == [("started",)]


def test_an_id_may_be_shortened_while_it_fits_one_session(cli: Cli, database: Database) -> None:
    first, second = (cli.json(*NEW, *DAY)["id"] for _ in range(2))
    for short in (first[-6:], first[-6:].upper(), first[9:], first.replace("-", "")[12:]):
        assert cli.json("sessions", "show", short)["id"] == first
    assert cli.json("diff", first[-8:], second[-8:])["b"]["sessionId"] == second
    message = cli.error("sessions", "delete", first[-6:], first[:4])
    assert "matches several ids" in message
    assert {first, second} <= set(message.replace(",", "").replace(".", "").split())
    assert database.query("SELECT count(*) FROM sim_sessions") == [(2,)]
    assert "no session whose id starts or ends with" in cli.error("sessions", "show", "ffff" + first[:4])
    assert "no session" in Cli(database, ZEON_USER="another").error("sessions", "show", first[-8:])
    cli("sessions", "delete", first[-8:])
    assert database.query("SELECT id::text FROM sim_sessions") == [(second,)]


def test_without_a_server_nothing_is_started(cli: Cli) -> None:
    session_id = cli.json(*NEW, *DAY)["id"]
    assert cli.error("sessions", "start", session_id).startswith("No server process is alive")
    assert cli.json("sessions", "show", session_id)["status"] == "created"


def test_missing_candles_are_said_and_keep_a_session_from_starting(cli: Cli) -> None:
    session_id = cli.json(*NEW, "--end", "2024-01-02T00:05")["id"]
    assert cli.error("sessions", "start", session_id).startswith("5 candles are missing between ")
    assert cli.json("sessions", "show", session_id)["errorDetails"]["missing"] == 5
    assert "5 candles are missing" in cli("sessions", "show", session_id)


def test_the_defaults_are_those_of_the_api(cli: Cli) -> None:
    session = cli.json(*NEW)
    defaults = {
        "profileSlug": "none",
        "endMs": None,
        "lagMs": 900_000,
        "replayMsPerCandle": 15_000,
        "speed": None,
        "gapPolicy": "skip",
        "gapGraceMs": 60_000,
        "mode": "replay",
        "tags": [],
        "config": {},
    }
    assert session | defaults == session
    assert cli.json(*NEW, *DAY)["gapPolicy"] == "fail"


def test_the_same_key_makes_one_session(cli: Cli) -> None:
    session = cli.json(*NEW, "--key", "k")
    assert cli.json(*NEW, "--key", "k") == session
    assert "another body" in cli.error(*NEW, "--speed", 2, "--key", "k")


@pytest.mark.parametrize(
    "arguments",
    [
        "--speed 5 --ms-per-candle 5",
        "--speed 0",
        "--end 2023-01-01",
        "--gap-policy x",
        "--config [",
        "--leverage x",
        "--sizing {}",
        "--fee-bps 1 --maker-fee-bps 1",
        "--extra-timeframe 1m",
    ],
)
def test_what_does_not_fit_together_is_a_usage_error(arguments: str) -> None:
    assert Cli(DATABASE_URL="postgresql://nobody@localhost:1/nothing").error(*NEW, *arguments.split(), code=2)


def test_a_profile_or_parameter_that_is_none_is_a_usage_error(cli: Cli) -> None:
    assert "sma_cross?" in cli.error(*NEW, "--profile", "sma_cros", code=2)
    assert "fast?" in cli.error(*NEW, "--profile", "sma_cross", "--config", '{"fats": 3}', code=2)


def test_every_term_has_its_option(cli: Cli) -> None:
    options = (
        "--extra-timeframe 5m --extra-timeframe 1h --warmup-candles 7 --initial-cash 500.5 --maker-fee-bps 1"
        " --taker-fee-bps 2.5 --slippage-bps 3 --leverage none --fill same_close --limit-fill touch"
        " --volume-share 0.25 --record trades --profile sma_cross"
    )
    session = cli.json(*NEW, *DAY, *options.split(), "--sizing", '{"cash": 100, "qtyStep": 0.1}')
    request = {
        "extraTimeframes": ["5m", "1h"],
        "warmupCandles": 7,
        "initialCash": 500.5,
        "makerFeeBps": 1,
        "takerFeeBps": 2.5,
        "slippageBps": 3,
        "leverage": None,
        "fill": "same_close",
        "limitFill": "touch",
        "sizing": {"cash": 100, "qtyStep": 0.1},
        "volumeShare": 0.25,
        "record": "trades",
    }
    assert session | request == session


def stands(database: Database, wanted: str) -> tuple[int, int]:
    """Wait until the only session has a status; returns its cursor and last seq."""
    deadline = time.monotonic() + 20
    while True:
        status, *position = database.query("SELECT status, cursor_ms, last_seq FROM sim_sessions")[0]
        if status == wanted:
            return tuple(position)
        assert time.monotonic() < deadline, (status, position)
        time.sleep(0.02)


def test_time_is_steered_a_session_forked_compared_and_verified(
    cli: Cli, database: Database, start_server: StartServer
) -> None:
    start_server(database)
    parameters = ("--profile", "sma_cross", "--config", '{"fast": 3, "slow": 8}', "--ms-per-candle", 5)
    session_id = cli.json(*NEW, "--end", "2024-01-01T02:00", *parameters)["id"]
    cli("sessions", "step", session_id, "--candles", 3)
    at, _ = stands(database, "paused")
    assert at == START + 2 * MINUTE
    assert "cursor is at" in cli.error("sessions", "step", session_id, "--if-cursor", START)
    cli("sessions", "run-until", session_id, "--time", "2024-01-01T00:30", "--if-cursor", at)
    assert stands(database, "paused")[0] == START + 29 * MINUTE
    assert "eventType" in cli.error("sessions", "run-until", session_id, code=2)
    cli("sessions", "run-until", session_id, "--event-type", "fill")
    _, at_fill = stands(database, "paused")
    database.query("UPDATE market_candles SET volume = volume + 1 WHERE open_time_ms = %s", START)
    assert "have changed" in cli.error("sessions", "resume", session_id)
    cli("sessions", "pace", session_id, "--ms-per-candle", 60_000)
    cli("sessions", "resume", session_id, "--accept-revised")
    cli("sessions", "jump", session_id, "--time", "2024-01-02")
    _, last_seq = stands(database, "finished")
    fork = cli.json("sessions", "fork", session_id, "--at-seq", at_fill, "--config", '{"fast": 2, "slow": 5}')
    assert (fork["parentId"], fork["config"], fork["replayMsPerCandle"]) == (
        session_id, {"fast": 2, "slow": 5}, 60_000,
    )  # fmt: skip
    there = cli.json("diff", session_id, fork["id"])
    assert (there["b"]["event"], there["settings"]["config.fast"]) == (None, {"a": 3, "b": 2})
    shown = cli("diff", session_id, fork["id"]).splitlines()
    assert [line.split()[1:] for line in shown if line.startswith("config.slow")] == [["8", "5"]]
    trades = [line.split()[1:] for line in shown if line.startswith("trades ")]
    assert trades == [[str(there["results"]["trades"][side]) for side in ("a", "b", "difference")]]
    assert "differ nowhere" in cli("diff", session_id, session_id)
    verdict = cli.json("verify", session_id)
    assert (verdict["same"], verdict["lastSeq"], len(verdict["warnings"])) == (True, last_seq, 1)
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        first = f"SELECT min(seq) FROM sim_events WHERE type = 'equity' AND session_id = '{session_id}'"
        row = owner.execute(
            "UPDATE sim_events SET payload = payload || '{\"cash\": 1}'"
            f" WHERE session_id = '{session_id}' AND seq = ({first}) RETURNING seq"
        ).fetchone()
    lines = cli.run("verify", session_id, code=1).stdout.splitlines()
    assert lines[0] == f"The log differs first at seq {row[0]}."
    assert json.loads(lines[1].removeprefix("logged"))["payload"]["cash"] == 1


def test_sessions_are_listed_filtered_and_pruned(cli: Cli, database: Database) -> None:
    first, second = cli.json(*NEW, "--tag", "a", "--tag", "b")["id"], cli.json(*NEW)["id"]
    cli("sessions", "stop", first)
    assert [session["id"] for session in cli.json("sessions", "list")] == [second, first]
    assert [session["id"] for session in cli.json("sessions", "list", "--tag", "b", "--status", "stopped")] == [first]
    assert cli.json("sessions", "prune") == []
    assert [session["id"] for session in cli.json("sessions", "prune", "--older-than", 0, "--dry-run")] == [first]
    assert [session["id"] for session in cli.json("sessions", "prune", "--older-than", 0)] == [first]
    assert [session["id"] for session in cli.json("sessions", "list")] == [second]


def test_nobody_sees_the_sessions_of_others(cli: Cli, database: Database) -> None:
    session_id = cli.json(*NEW)["id"]
    other = Cli(database, ZEON_USER="other")
    assert other.json("sessions", "list") == []
    for call in ("show", "start", "pause", "delete"):
        assert other.error("sessions", call, session_id).startswith("There is no ")
    assert other.error("tail", session_id) == "There is no such session."


def test_a_tail_follows_to_the_end(cli: Cli, database: Database, start_server: StartServer) -> None:
    start_server(database)
    session_id = cli.json(*NEW, "--end", "2024-01-01T01:00", "--ms-per-candle", 20)["id"]
    with cli.start("tail", session_id, "--json") as everything, cli.start("tail", session_id) as lines:
        cli("sessions", "start", session_id)
        events = [json.loads(line) for line in everything.communicate(timeout=30)[0].splitlines()]
        read = lines.communicate(timeout=30)[0].splitlines()
    assert (everything.returncode, lines.returncode) == (0, 0)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert sum(event["type"] == "candle" for event in events) == 60
    assert [int(line.split()[0]) for line in read] == list(range(1, len(events) + 1))
    assert read[-1].endswith("finished: end of range, by " + events[-1]["payload"]["by"])
    some = cli("tail", session_id, "--json", "--types", "candle", "--from-seq", 50).splitlines()
    assert [json.loads(line)["seq"] for line in some] == list(range(50, len(events)))
    assert "ahead of the log" in cli.error("tail", session_id, "--from-seq", 1000)


def test_a_tail_of_what_is_there_ends_and_ctrl_c_ends_the_other(
    cli: Cli, database: Database, start_server: StartServer
) -> None:
    start_server(database)
    session_id = cli.json(*NEW, *DAY, "--ms-per-candle", 10)["id"]
    assert cli("tail", session_id, "--no-follow") == ""
    cli("sessions", "start", session_id)
    with cli.start("tail", session_id) as tail:
        assert tail.stdout is not None
        seen = [tail.stdout.readline() for _ in range(20)]
        tail.send_signal(signal.SIGINT)
        assert tail.wait(10) == 0
    assert [int(line.split()[0]) for line in seen] == list(range(1, 21))
    assert len(cli("tail", session_id, "--no-follow").splitlines()) >= 20


def test_a_tail_ends_when_its_session_is_deleted(cli: Cli, database: Database) -> None:
    session_id = cli.json(*NEW)["id"]
    database.query("SELECT sim_append_event(%s, NULL, 'note', '{}')", session_id)
    with cli.start("tail", session_id) as tail:
        assert tail.stdout is not None
        assert "note" in tail.stdout.readline()
        cli("sessions", "delete", session_id)
        assert tail.wait(10) == 0


def test_a_built_in_strategy_does_not_look_ahead(cli: Cli) -> None:
    command = ("lookahead", "sma_cross", "--symbol", "BTCUSDT", "--timeframe", "1m", "--venue", "demo")
    assert cli.json(*command) == {"slots": 1440, "cuts": 10, "lookahead": False, "difference": None}
    assert cli.error(*command, "--end", START).startswith("There are no candles of BTCUSDT 1m")
