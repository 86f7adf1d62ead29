"""Makes `b53902f.jsonl.xz`: the rows of a small database that a server of commit b53902f has filled.

Run it with any Python, against a checkout of that commit with its own environment:

    git worktree add ../old b53902f && make -C ../old install
    python tests/frozen/make_dump.py ../old

It uses nothing but the command line, the HTTP API and SQL of that checkout, so that renames here do not touch it. The
server runs on an embedded Postgres in a temporary folder and is killed before the rows are read. Then it is started
once more, and every session that can go on does so to its end: a newer version has to reach the same digests.
"""

from __future__ import annotations

import json
import lzma
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
COMMIT = "b53902f"
START_MS = 1_704_067_200_000  # 2024-01-01
MINUTE = 60_000
VENUE = "frozen"
TABLES = {
    "sim_profiles": "slug",
    "sim_tokens": "created_at",
    "sim_runners": "name",
    "sim_sessions": "created_at",
    "sim_requests": "key",
    "sim_snapshots": "session_id, cursor_ms",
    "market_coverage": "symbol, timeframe, from_ms",
    "market_candles": "symbol, timeframe, open_time_ms",
    "sim_events": "session_id, seq",
}
"""Every table of the old version, and the order of its rows in the dump."""
_ENDS = ("finished", "stopped", "failed")


def minute(number: int) -> int:
    """Return the open time of a slot, counted from `START_MS`, in ms."""
    return START_MS + number * MINUTE


class Old:
    """The checkout of the old version, its database and its server."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        self._checkout = checkout
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("ZEON_", "PG", "DATABASE_URL"))
        }
        self._env = kept | {
            "ZEON_DATA_DIR": str(folder / "data"),
            "ZEON_STRATEGIES": str(HERE / "strategies"),
            "ZEON_VENUE": VENUE,
            "ZEON_RUNNER": "old",
            "PORT": str(self._port),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def zeon(self, *arguments: object) -> str:
        """Run a command and return its output."""
        command = [str(self._checkout / ".venv/bin/zeon"), *map(str, arguments)]
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, cwd=self._checkout)
        if done.returncode:
            raise SystemExit(f"zeon {arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def lines(self, query: str) -> list[str]:
        """Return the text of each row of a query that gives one column of JSON."""
        return self.zeon("psql", "-AtX", "-c", query).splitlines()

    def rows(self, query: str) -> list[Any]:
        """Return the value of each row of a query that gives one column of JSON."""
        return list(map(json.loads, self.lines(query)))

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Run a server, killed at the end of the block."""
        command = [str(self._checkout / ".venv/bin/zeon"), "serve"]
        server = subprocess.Popen(command, env=self._env, cwd=self._checkout, start_new_session=True)
        try:
            self._wait(lambda: self._answers("/readyz"))
            yield
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()

    def call(self, method: str, path: str, body: Any = None, *, key: str | None = None, status: int = 0) -> Any:
        """Make a call and return its answer; another status than the one expected ends the program."""
        headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        data = None if body is None and method == "GET" else json.dumps(body or {}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                found, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            found, text = error.code, error.read()
        if found != status and (status or found >= 300):
            raise SystemExit(f"{method} {path}: {found} {text!r}")
        answer = json.loads(text) if text else None
        return answer.get("data", answer) if isinstance(answer, dict) else answer

    def _answers(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _wait(self, fits: Callable[[], Any], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not fits():
            if time.monotonic() > deadline:
                raise SystemExit("waited too long")
            time.sleep(0.05)

    # Sessions

    def create(self, name: str, **fields: Any) -> str:
        """Create a session under a name of its own; unpaced, 200 minutes of BTCUSDT and candles only by default."""
        plain = {"profileSlug": "none", "timeframe": "1m", "startMs": START_MS, "endMs": minute(200)}
        pace = {} if "speed" in fields else {"replayMsPerCandle": 0}
        symbol = {} if "symbols" in fields else {"symbol": "BTCUSDT"}
        body = plain | pace | symbol | {"name": name} | fields
        return str(self.call("POST", "/api/sim/sessions", body, status=201)["id"])

    def act(self, session: str, call: str, body: Any = None, **more: Any) -> Any:
        return self.call("POST", f"/api/sim/sessions/{session}/{call}", body, **more)

    def control(self, session: str, action: str, *, key: str | None = None, **arguments: Any) -> Any:
        return self.act(session, "control", {"action": action} | arguments, key=key)

    def until(self, session: str, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        self._wait(lambda: fits(self.call("GET", f"/api/sim/sessions/{session}")))
        return dict(self.call("GET", f"/api/sim/sessions/{session}"))

    def ended(self, session: str, status: str = "finished") -> str:
        """Start a session and wait for its end."""
        self.act(session, "start")
        result = self.until(session, lambda one: one["status"] in _ENDS)
        assert result["status"] == status, result
        return session

    def stepped(self, session: str, count: int) -> str:
        """Let a session pause by itself behind `count` more slots."""
        self.control(session, "step", candles=count)
        self.until(session, lambda one: one["status"] == "paused")
        return session

    def left_running(self, session: str, until_ms: int) -> str:
        """Let a session run to a time at once, and from there on a slot an hour."""
        self.control(session, "pace", replayMsPerCandle=3_600_000)
        self.act(session, "start")
        self.control(session, "jump", timeMs=until_ms)
        self.until(session, lambda one: one["cursorMs"] is not None and one["cursorMs"] >= until_ms - MINUTE)
        return session

    def fork(self, parent: str, name: str, at_seq: int, **changes: Any) -> str:
        body = {"atSeq": at_seq, "name": name} | changes
        return str(self.act(parent, "fork", body, status=201)["id"])


def make_candles(old: Old, folder: Path) -> None:
    """Bring in seeded candles: one long series, two short ones and one with holes."""
    series = {
        "BTCUSDT": (42_000, -200, 6_400, ()),
        "ETHUSDT": (2_300, -200, 500, ()),
        "SOLUSDT": (100, -200, 500, ()),
        "GAPUSDT": (500, -30, 300, (*range(20, 23), 61, *range(100, 118), *range(290, 300))),
    }
    for symbol, (price, first, end, holes) in series.items():
        path = folder / f"{symbol}.csv"
        path.write_text("open_time,open,high,low,close,volume\n" + "".join(_lines(symbol, price, first, end, holes)))
        old.zeon("candles", "import", path, "--symbol", symbol, "--timeframe", "1m", "--venue", VENUE)


def _lines(symbol: str, price: int, first: int, end: int, holes: tuple[int, ...]) -> Iterator[str]:
    draw = random.Random(symbol)
    unit = price // 1000 or 1
    digits = 2 if price < 1000 else 0
    close = price * 10**digits
    scale = unit * 10**digits // (10 if price < 1000 else 1) or 1
    for number in range(first, end):
        opened, close = close, max(scale, close + scale * round(draw.gauss(0, 1.5)))
        high, low = max(opened, close) + scale * draw.randrange(2), min(opened, close) - scale * draw.randrange(2)
        volume = draw.randrange(1, 40) * 10_000 // price
        numbers = " ".join(str(value / 10**digits) for value in (opened, high, low, close)).split()
        if number not in holes:
            yield f"{minute(number)},{','.join(numbers)},{volume / 10}\n"


def make_sessions(old: Old) -> None:
    """Make sessions in every status, of every kind of strategy."""
    make_built_in(old)
    make_user(old)
    make_candles_only(old)
    make_long(old)
    make_forks(old)
    make_running(old)


def make_built_in(old: Old) -> None:
    two = {"symbols": ["BTCUSDT", "ETHUSDT"], "sizing": {"equityPct": 40}}
    warm = {"warmupCandles": 60}
    old.ended(old.create("finished sma_cross", profileSlug="sma_cross", config={"fast": 5, "slow": 13, "lines": True}))
    old.ended(old.create("finished buy_and_hold", profileSlug="buy_and_hold", **two, fill="same_close"))
    old.ended(
        old.create("finished trend_pullback", profileSlug="trend_pullback", config={"trend": 50}, record="trades")
    )
    old.stepped(old.create("paused ema_state", profileSlug="ema_state", **two, **warm, slippageBps=3), 77)
    old.stepped(
        old.create(
            "paused rsi_revert",
            profileSlug="rsi_revert",
            config={"n": 5, "side": "both"},
            volumeShare=0.05,
            leverage=None,
            extraTimeframes=["15m", "5m"],
            **warm,
        ),
        90,
    )
    old.stepped(
        old.create(
            "paused donchian_breakout",
            profileSlug="donchian_breakout",
            config={"entry": 12, "exit": 6},
            makerFeeBps=1,
            takerFeeBps=4.5,
            sizing={"cash": 2500, "qtyStep": 0.001},
        ),
        64,
    )
    old.stepped(old.create("paused squeeze_breakout", profileSlug="squeeze_breakout", config={"n": 12}, **warm), 110)
    old.stepped(
        old.create("paused keltner_revert", profileSlug="keltner_revert", volumeShare=0.02, record="trades"), 80
    )
    old.stepped(old.create("paused ema_revert", profileSlug="ema_revert", config={"n": 20, "percent": 0.2}), 70)
    old.zeon("profiles", "add", "quick", "--strategy", "sma_cross", "--config", '{"fast": 3, "slow": 9}')
    paused = old.create(
        "paused profile", profileSlug="quick", config={"side": "both"}, limitFill="touch", tags=["a", "b"]
    )
    old.control(paused, "runUntil", eventType="trade", key="once")
    old.until(paused, lambda one: one["status"] == "paused")


def make_user(old: Old) -> None:
    three = {"symbols": ["BTCUSDT", "ETHUSDT", "SOLUSDT"], "warmupCandles": 20}
    old.ended(old.create("finished brackets", profileSlug="brackets", leverage=2, volumeShare=0.1))
    old.stepped(old.create("paused brackets", profileSlug="brackets", **three, extraTimeframes=["30m"], leverage=3), 71)
    old.stepped(old.create("paused rehearsal", profileSlug="rehearsal", slippageBps=1), 60)
    old.stepped(old.create("paused channel", profileSlug="channel", config={"count": 8}, record="trades"), 120)
    old.ended(old.create("failed strategy", profileSlug="failing", config={"at": 25}), "failed")


def make_candles_only(old: Old) -> None:
    gaps = {"symbol": "GAPUSDT", "endMs": minute(300)}
    old.create("created", profileSlug="sma_cross", config={"fast": 4, "slow": 11}, idempotencyKey="made-once")
    stopped = old.stepped(old.create("stopped", speed=60), 9)
    noted = {"text": "seen by hand", "level": 3}
    old.zeon("psql", "-qc", f"SELECT sim_append_event('{stopped}', NULL, 'note', '{json.dumps(noted)}')")
    old.act(stopped, "stop")
    old.act(old.create("failed gaps", profileSlug="buy_and_hold", **gaps), "start", status=422)
    old.ended(old.create("finished skip", **gaps, gapPolicy="skip", extraTimeframes=["5m", "1h"]))
    old.ended(old.create("finished fill", profileSlug="brackets", **gaps, gapPolicy="fill"))
    old.stepped(
        old.create("paused skip", profileSlug="sma_cross", config={"fast": 3, "slow": 8}, **gaps, gapPolicy="skip"), 104
    )
    filled = {"profileSlug": "ema_state", "config": {"fast": 3, "slow": 7}, "gapPolicy": "fill", "fill": "same_close"}
    old.stepped(old.create("paused fill", **filled, **gaps, extraTimeframes=["5m"]), 105)
    old.stepped(old.create("paused candles", symbols=["SOLUSDT", "ETHUSDT"], extraTimeframes=["3m", "1h"]), 100)
    old.stepped(
        old.create(
            "paused built",
            symbol="ETHUSDT",
            timeframe="5m",
            profileSlug="sma_cross",
            config={"fast": 3, "slow": 7},
            endMs=minute(450),
        ),
        60,
    )
    old.stepped(old.create("paused endless", endMs=None, lagMs=60_000), 30)
    market = {"symbols": ["ETHUSDT", "BTCUSDT"], "timeframe": "1m", "start": START_MS, "end": minute(90), "speed": 100}
    old.call("POST", "/api/market/sessions", market, status=201)
    session = old.call("POST", "/api/market/sessions", market, status=201)["sessionId"]
    old.stepped(session, 25)


def make_long(old: Old) -> None:
    """Make sessions that are long enough for snapshots."""
    long = {"record": "trades", "endMs": minute(6_300)}
    old.stepped(old.create("paused long sma_cross", profileSlug="sma_cross", **long), 5_800)
    old.stepped(old.create("paused long channel", profileSlug="channel", config={"count": 200}, **long), 5_700)
    old.stepped(
        old.create("paused long ema_state", profileSlug="ema_state", config={"fast": 40, "slow": 90}, **long), 5_650
    )


def make_forks(old: Old) -> None:
    parent = old.stepped(
        old.create("paused parent", profileSlug="sma_cross", config={"fast": 4, "slow": 9}, volumeShare=0.1), 120
    )
    child = old.fork(parent, "paused fork", 150, config={"fast": 3, "slow": 9}, feeBps=2)
    old.stepped(child, 40)
    grandchild = old.fork(child, "paused fork of a fork", 260, profileSlug="brackets", sizing={"equityPct": 30})
    old.stepped(grandchild, 30)
    old.fork(grandchild, "created fork", 330, profileSlug="ema_state", fill="same_close")
    old.ended(old.fork(parent, "finished fork", 200, profileSlug="channel", config={"count": 6}, slippageBps=2))
    old.ended(old.fork(parent, "finished fork without a strategy", 90, profileSlug="none"))
    lost = old.stepped(old.create("deleted", profileSlug="rsi_revert", config={"n": 4}, record="trades"), 100)
    old.stepped(old.fork(lost, "paused fork of a deleted parent", 12, leverage=2), 20)
    old.call("DELETE", f"/api/sim/sessions/{lost}")
    market = {"symbols": ["BTCUSDT"], "timeframe": "1m", "start": START_MS, "end": minute(150), "speed": 50}
    shown = old.stepped(old.call("POST", "/api/market/sessions", market, status=201)["sessionId"], 40)
    old.stepped(old.fork(shown, "paused fork of a market session", 30, profileSlug="brackets", replayMsPerCandle=0), 50)


def make_running(old: Old) -> None:
    """Make sessions that run, for the server to be killed under them."""
    old.left_running(
        old.create("running sma_cross", profileSlug="sma_cross", config={"fast": 4, "slow": 9}), minute(80)
    )
    old.left_running(old.create("running brackets", profileSlug="brackets", extraTimeframes=["5m"]), minute(70))
    old.left_running(old.create("running candles", symbols=["BTCUSDT", "SOLUSDT"]), minute(60))
    parent = old.stepped(old.create("paused parent of a running fork", profileSlug="ema_state", record="trades"), 90)
    old.left_running(old.fork(parent, "running fork", 10, config={"fast": 5, "slow": 20}), minute(130))


def make_tokens(old: Old) -> list[dict[str, Any]]:
    """Make a token that is valid and one that was revoked."""
    made = [json.loads(old.zeon("token", "create", "--name", name, "--json")) for name in ("valid", "revoked")]
    old.zeon("token", "revoke", made[1]["id"])
    return [{"name": one["name"], "token": one["token"]} for one in made]


def contents(old: Old) -> Iterator[str]:
    """Yield per table a line with its name, and then each row as Postgres writes it, numbers to the last digit."""
    for table, order in TABLES.items():
        yield json.dumps({"table": table})
        yield from old.lines(f"SELECT to_jsonb(t) FROM {table} t ORDER BY {order}")


def installed(old: Old, checkout: Path) -> dict[str, Any]:
    """Return what installs a database of the old version: its migrations and its functions and views."""
    files = [*(checkout / "migrations").glob("*.sql"), *(checkout / "sql").rglob("*.sql")]
    comment = old.rows("SELECT to_json(obj_description('_yoyo_migration'::regclass))")[0]
    return {"files": {str(path.relative_to(checkout)): path.read_text() for path in sorted(files)}, "comment": comment}


def sessions(old: Old) -> list[dict[str, Any]]:
    """Return what is expected of each session as it stands."""
    return old.rows(
        "SELECT jsonb_build_object('id', id, 'name', coalesce(name, kind), 'status', status, 'cursorMs', cursor_ms,"
        " 'lastSeq', last_seq, 'strategyHash', strategy_hash, 'candlesHash', candles_hash, 'warmupHash', warmup_hash,"
        " 'digest', sim_log_digest(id)) FROM sim_sessions WHERE deleted_at IS NULL ORDER BY created_at"
    )


def run_to_their_ends(old: Old, expected: list[dict[str, Any]]) -> None:
    """Let every session that can go on do so, and note the digest at its end."""
    for one in expected:
        if one["status"] in ("created", "paused", "running") and one["name"] != "paused endless":
            old.control(one["id"], "pace", replayMsPerCandle=0)
            old.act(one["id"], "start")
    for one in expected:
        result = old.until(
            one["id"], lambda session: session["status"] in (*_ENDS, "paused") or session["endMs"] is None
        )
        if result["status"] == "finished":
            one["endDigest"] = old.rows(f"SELECT to_json(sim_log_digest('{one['id']}'))")[0]


def main() -> None:
    """Make the dump from the checkout named on the command line."""
    checkout = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as place:
        old = Old(checkout, Path(place))
        old.zeon("migrate")
        make_candles(old, Path(place))
        with old.serving():
            make_sessions(old)
        tokens = make_tokens(old)
        head = {"commit": COMMIT, "tokens": tokens, **installed(old, checkout)}
        lines = list(contents(old))
        head["sessions"] = sessions(old)
        with old.serving():
            run_to_their_ends(old, head["sessions"])
    text = "\n".join((json.dumps(head), *lines))
    path = HERE / f"{COMMIT}.jsonl.xz"
    path.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{path.name}: {len(lines)} lines, {path.stat().st_size} bytes of {len(text)}")


if __name__ == "__main__":
    main()
