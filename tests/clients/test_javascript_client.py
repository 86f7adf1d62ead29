"""The JavaScript client, as a server gives it, in Node and Bun: calls, and tails that outlive their server."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import urllib.request
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from app.web.sim.answers import SessionAnswer
from app.web.website import FOLDER
from tests.browser.site import Site
from tests.clients import npm
from tests.clients.following import (
    DOCUMENTED,
    Script,
    block,
    candles_only,
    kill_midway,
    last_seq,
    seqs,
    serve,
    trade_results,
)
from tests.clients.relay import relay
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS
from tests.support.server_process import StartServer

TAIL = """import { Client } from "./zeon.mjs";
const [url, id, options] = [process.argv[2], process.argv[3], JSON.parse(process.argv[4] ?? "{}")];
for await (const event of new Client(url).tail(id, options)) console.log(event.seq);
"""
CALLS = """import { ApiError, Client } from "./zeon.mjs";
const url = process.argv[2];
const fields = JSON.parse(process.argv[3]);
const client = new Client(url);
const answers = [];
const until = async (id, status) => { while ((await client.session(id)).status !== status); };
const { id } = await client.create(fields);
answers.push((await client.step(id, 3)).status);
await until(id, "paused");
await client.pace(id, { replayMsPerCandle: 1000 });
answers.push((await client.resume(id)).status, (await client.pause(id)).status);
answers.push((await client.change(id, { name: "mine", replayMsPerCandle: 0 })).name);
await client.runUntil(id, { timeMs: fields.startMs + 20 * 60_000 });
await until(id, "paused");
const fork = await client.fork(id, 5, { replayMsPerCandle: 1000 });
await client.start(fork.id);
await client.jump(fork.id, fields.startMs + 30 * 60_000);
answers.push((await client.stop(fork.id)).status, (await client.diff(id, fork.id)).same);
await client.start(id);
const states = [];
const tailed = [];
for await (const { seq } of client.tail(id, { onState: (state) => states.push(state) })) tailed.push(seq);
const stored = [];
for await (const { seq } of client.events(id, { fromSeq: 3 })) stored.push(seq);
answers.push((await client.stats(id)).seq === tailed.at(-1), (await client.equity(id, 10)).points.length <= 10);
answers.push((await client.profiles()).profiles.some(({ slug }) => slug === "sma_cross"));
const lines = (await (await client.export(id)).text()).trim().split("\\n");
await client.delete(fork.id);
answers.push((await client.sessions({ status: "finished" })).sessions.length);
const failure = async (work) => {
  try {
    await work();
  } catch (error) {
    return [error.name, error instanceof ApiError, error.status, error.code];
  }
};
const drain = async (...args) => { for await (const _ of client.tail(...args)); };
const failures = [
  await failure(() => client.session(fork.id)),
  await failure(() => drain(id, { fromSeq: 10_000 })),
  await failure(() => drain(id, { types: "candel" })),
  await failure(() => drain("../profiles?")),
  await failure(() => new Client("http://127.0.0.1:9").profiles()),
];
console.log(JSON.stringify({ answers, tailed, stored, exported: lines.length, states, failures }));
"""
FIELDS: dict[str, Any] = {
    "profileSlug": "sma_cross",
    "config": {"fast": 3, "slow": 8},
    "venue": "demo",
    "symbol": "BTCUSDT",
    "timeframe": "1m",
    "startMs": START_MS,
    "endMs": START_MS + 100 * MINUTE,
    "replayMsPerCandle": 0,
}
TYPED = """import { Client, type Event, type Session } from "./zeon.mjs";

const client = new Client("http://127.0.0.1:8000", { token: "t", onUnauthorized: (sentMs) => console.log(sentMs + 1) });
const session: Session = await client.create({ profileSlug: "none", symbol: "BTCUSDT", timeframe: "1m", startMs: 0 });
for await (const event of client.tail(session.id, { onState: (state) => state === "live" })) {
  if (event.type === "trade") event.payload.netPnl.toFixed(2);
  // @ts-expect-error a candle has no result
  if (event.type === "candle") event.payload.netPnl;
}
const all: Event[] = [];
for await (const batch of client.batches(session.id)) all.push(...batch);
// @ts-expect-error a step is counted
await client.step(session.id, "one");
// @ts-expect-error there is no such state
for await (const _ of client.tail(session.id, { onState: (state) => state === "lively" }));
"""


@pytest.fixture(params=["node", pytest.param("bun", marks=pytest.mark.clients)])
def runtime(request: pytest.FixtureRequest) -> str:
    """The program that runs JavaScript."""
    return npm.node() if request.param == "node" else npm.bun()


@pytest.fixture
def site(database: Database, start_server: StartServer) -> Site:
    return serve(database, start_server, ZEON_HEARTBEAT_MS=200)


def download_client(site: Site, folder: Path) -> Path:
    """Keep a copy of the client, as the page tells to."""
    for name, saved_as in (("client.js", "zeon.mjs"), ("client.d.ts", "zeon.d.mts")):
        with urllib.request.urlopen(f"{site.url}/static/{name}") as answer:
            (folder / saved_as).write_bytes(answer.read())
    return folder


def tail(
    site: Site, folder: Path, runtime: str, url: str, session_id: str, **options: Any
) -> AbstractContextManager[subprocess.Popen[str]]:
    (download_client(site, folder) / "tail.mjs").write_text(TAIL)
    return Script(folder, url).run(runtime, "tail.mjs", url, session_id, json.dumps(options))


def test_a_tail_outlives_a_kill_of_its_server_and_misses_nothing(site: Site, tmp_path: Path, runtime: str) -> None:
    session_id = candles_only(site)
    with tail(site, tmp_path, runtime, site.url, session_id) as tailing:
        site.post(f"/{session_id}/start")
        kill_midway(site, session_id)
        seen = seqs(tailing)
    assert seen == list(range(1, last_seq(site, session_id) + 1))


@pytest.mark.clients
def test_a_tail_outlives_twenty_kills_of_its_server(site: Site, tmp_path: Path, runtime: str) -> None:
    session_id = candles_only(site)
    with tail(site, tmp_path, runtime, site.url, session_id) as tailing:
        site.post(f"/{session_id}/start")
        for kill in range(1, 21):
            kill_midway(site, session_id, 40 * kill)
        seen = seqs(tailing)
    assert seen == list(range(1, last_seq(site, session_id) + 1))


def test_connections_cut_in_the_middle_of_events_lose_none(site: Site, tmp_path: Path, runtime: str) -> None:
    session_id = candles_only(site, pause_ms=0, candles=300)
    site.post(f"/{session_id}/start")
    site.finished(session_id)
    cuts = [100, 350, 401, 700, 933, 2011, 5000, 5171, 9999, 20_003]
    with (
        relay(site.server.port, cuts) as relayed,
        tail(site, tmp_path, runtime, relayed.url, session_id) as tailing,
    ):
        seen = seqs(tailing)
    assert relayed.cut == len(cuts)
    assert seen == list(range(1, last_seq(site, session_id) + 1))


def test_a_tail_notices_silence_and_asks_again(site: Site, tmp_path: Path, runtime: str) -> None:
    session_id = candles_only(site, pause_ms=0, candles=20)
    with tail(site, tmp_path, runtime, site.url, session_id, silenceMs=1000) as tailing:
        assert tailing.stdout is not None
        site.post(f"/{session_id}/control", {"action": "step", "candles": 5})
        first = [int(tailing.stdout.readline()) for _ in range(6)]
        site.server.signal(signal.SIGSTOP)
        with pytest.raises(subprocess.TimeoutExpired):
            tailing.wait(2.5)
        site.server.signal(signal.SIGCONT)
        site.post(f"/{session_id}/start")
        rest = [int(line) for line in tailing.stdout]
        assert tailing.wait(60) == 0
    assert first + rest == list(range(1, last_seq(site, session_id) + 1))


def test_the_calls_of_the_client_do_what_they_say(site: Site, tmp_path: Path, runtime: str) -> None:
    (download_client(site, tmp_path) / "calls.mjs").write_text(CALLS)
    with Script(tmp_path, site.url).run(runtime, "calls.mjs", site.url, json.dumps(FIELDS)) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    done = json.loads(out)
    assert done["answers"] == ["running", "running", "paused", "mine", "stopped", False, True, True, True, 1]
    assert done["stored"] == done["tailed"][2:]
    assert done["exported"] == len(done["tailed"]) == done["tailed"][-1]
    assert (done["states"][0], done["states"][-1], "live" in done["states"]) == ("connecting", "ended", True)
    assert done["failures"] == [
        ["ApiError", True, 404, "not_found"],
        ["ApiError", True, 400, "seq_ahead"],
        ["ApiError", True, 400, "malformed"],
        ["BrokenStreamError", False, None, None],
        ["ApiError", True, 0, None],
    ]


def test_the_example_of_the_page_runs(site: Site, tmp_path: Path, runtime: str) -> None:
    code = block("JavaScript", "js").replace(DOCUMENTED, site.url).replace('"BTCUSDT"', '"BTCUSDT", venue: "demo"')
    (download_client(site, tmp_path) / "example.mjs").write_text(
        code.replace("timeframe", "replayMsPerCandle: 0, timeframe")
    )
    with Script(tmp_path, site.url).run(runtime, "example.mjs") as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    results = trade_results(site)
    assert [float(line) for line in out.split()] == results
    assert results


@pytest.mark.clients
def test_the_types_are_those_of_the_client(site: Site, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(npm.modules())
    (download_client(site, tmp_path) / "typed.mts").write_text(TYPED)
    options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom,dom.iterable"]
    done = subprocess.run(
        [npm.node(), "node_modules/typescript/bin/tsc", *options, "typed.mts"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_the_types_know_every_field_of_a_session() -> None:
    text = (FOLDER / "client.d.ts").read_text()
    session = text[text.index("export interface Session {") :].partition("\n}")[0]
    fields = {field.alias for field in SessionAnswer.model_fields.values()}
    assert set(re.findall(r"^  (\w+)\??:", session, re.MULTILINE)) == fields


def test_a_call_waits_when_the_server_tells_it_to(
    site: Site, tmp_path: Path, runtime: str, start_server: StartServer
) -> None:
    busy = start_server(site.database, ZEON_RATE=5, ZEON_BURST=1, ZEON_RUNNER="busy")
    (download_client(site, tmp_path) / "waits.mjs").write_text(
        'import { Client } from "./zeon.mjs";\n'
        "const waits = [];\n"
        "const client = new Client(process.argv[2], { onWait: (error) => waits.push(error.retryAfterMs) });\n"
        "for (let n = 0; n < 3; n++) await client.sessions();\n"
        "const hasty = new Client(process.argv[2], { patienceMs: 0 });\n"
        "const refused = await Promise.all([0, 1].map(() => hasty.sessions().catch((error) => error.code)));\n"
        'console.log(JSON.stringify([waits.includes(1000), refused.includes("too_many_requests")]));\n'
    )
    with Script(tmp_path, busy.url).run(runtime, "waits.mjs", busy.url) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out) == [True, True]
