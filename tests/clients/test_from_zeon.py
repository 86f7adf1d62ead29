"""The lines for the front-end of the original system, as examples/from-zeon.md has them, in Node."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.browser.site import store_candles
from tests.clients import npm
from tests.clients.following import CANDLES, Script, kill_midway, last_seq, seqs, serve, until
from tests.paths import ROOT
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS
from tests.support.server_process import StartServer

COUNT = 20
FIELDS = {
    "profileSlug": "sma_cross",
    "configOverride": {"fast": 3, "slow": 8},
    "exchange": "demo",
    "symbol": "BTCUSDT",
    "timeframe": "1m",
    "startMs": START_MS,
    "endMs": START_MS + COUNT * MINUTE,
    "replayMsPerCandle": 0,
}
USE = """
const created = await create(JSON.parse(process.argv[3]));
const statuses = [statusOf(created), statusOf(await resume(created.id))];
while (statusOf(await session(created.id)) !== "completed") await new Promise((done) => setTimeout(done, 20));
statuses.push(statusOf(await session(created.id)));
const log = await (await fetch(`${server}/api/sim/sessions/${created.id}/events?types=candle`)).json();
console.log(JSON.stringify({
  statuses, venue: created.venue, config: created.config,
  times: log.data.events.map((event) => candleOf(event).ts),
  cached: (await cached("demo", "BTCUSDT", "1m")).length,
  slugs: (await profiles()).map((profile) => profile.slug),
}));
"""


FOLLOW = """
const created = await create(JSON.parse(process.argv[3]));
await resume(created.id);
const source = new EventSource(server + created.streamUrl);
source.onmessage = ({ data }) => {
  const event = JSON.parse(data);
  if (event.type === "candle" && !candleOf(event).ts) throw new Error(data);
  console.log(event.seq);
};
"""


def blocks() -> list[str]:
    return re.findall(r"^```js\n(.*?)^```$", (ROOT / "examples/from-zeon.md").read_text(), re.DOTALL | re.MULTILINE)


def test_the_lines_of_the_page_create_start_and_read_a_session(
    database: Database, start_server: StartServer, tmp_path: Path
) -> None:
    store_candles(database, 100)
    script = tmp_path / "lines.mjs"
    script.write_text("\n".join(["const server = process.argv[2];", *blocks(), USE]))
    command = [npm.node(), str(script), start_server(database).url, json.dumps(FIELDS)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    shown = json.loads(ran.stdout)
    assert shown["statuses"] == ["created", "running", "completed"]
    assert shown["venue"] == "demo"
    assert shown["config"].items() >= FIELDS["configOverride"].items()  # type: ignore[attr-defined]
    assert shown["times"] == [START_MS + n * MINUTE for n in range(COUNT)]
    assert shown["cached"] == 100
    assert "sma_cross" in shown["slugs"]


@pytest.mark.parametrize(
    ("path", "status", "named"),
    [
        ("/api/market/candles?exchange=demo&symbol=BTCUSDT&timeframe=1m", 400, "exchange"),
        ("/api/strategy-profiles", 404, ""),
    ],
)
def test_what_does_not_fit_is_refused_as_the_page_says(
    database: Database, start_server: StartServer, path: str, status: int, named: str
) -> None:
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(start_server(database).url + path)
    with raised.value as answer:
        assert answer.code == status
        assert named in json.load(answer)["error"]


@pytest.mark.clients
def test_the_front_end_follows_a_session_through_a_killed_server(
    database: Database, start_server: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "node_modules").symlink_to(npm.modules())
    site = serve(database, start_server)
    head = ['import { EventSource } from "eventsource";', "const server = process.env.URL;"]
    (tmp_path / "page.mjs").write_text("\n".join([*head, *blocks(), FOLLOW]))
    fields = {**FIELDS, "profileSlug": "none", "configOverride": {}, "endMs": START_MS + CANDLES * MINUTE}
    fields["replayMsPerCandle"] = 3
    with Script(tmp_path, site.url).run(npm.node(), "page.mjs", "", json.dumps(fields)) as process:
        until(lambda: process.poll() is not None or database.query("SELECT 1 FROM sim_sessions WHERE last_seq > 0"))
        session_id = str(database.query("SELECT id FROM sim_sessions")[0][0])
        kill_midway(site, session_id)
        assert seqs(process) == list(range(1, last_seq(site, session_id) + 1))
    assert last_seq(site, session_id) > CANDLES
