"""A page of another port: it logs in, makes calls and follows a stream, as `ZEON_ALLOWED_ORIGINS` lets it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.site import store_candles
from tests.support.cli import Cli
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS
from tests.support.server_process import StartServer

BODY = {
    "profileSlug": "none",
    "venue": "demo",
    "symbol": "BTCUSDT",
    "timeframe": "1m",
    "startMs": START_MS,
    "endMs": START_MS + 50 * MINUTE,
    "replayMsPerCandle": 0,
}
FOLLOW = """async ({ server, token, body }) => {
  const post = async (path, content) => {
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify(content);
    const answer = await fetch(server + path, { method: "POST", credentials: "include", headers, body });
    return { status: answer.status, location: answer.headers.get("Location"), ...(await answer.json()) };
  };
  const refused = (await post("/api/sim/sessions", body)).status;
  const login = (await post("/login", { token })).status;
  const { location } = await post("/api/sim/sessions", body);
  const seqs = [];
  const source = new EventSource(`${server}${location}/stream`, { withCredentials: true });
  const caughtUp = new Promise((resolve) => source.addEventListener("caught_up", resolve));
  const closed = new Promise((resolve) => {
    source.onmessage = (message) => seqs.push(JSON.parse(message.data).seq);
    source.onerror = () => source.readyState === EventSource.CLOSED && resolve();
  });
  await caughtUp;
  await post(`${location}/start`, {});
  await closed;
  return { refused, login, seqs };
}"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def other(tmp_path: Path) -> Iterator[str]:
    """The address of a page that another server serves."""
    (tmp_path / "index.html").write_text("<!doctype html><title>Another page</title>")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_page_on_another_port_logs_in_posts_and_follows_to_the_end(
    database: Database, start_server: StartServer, browser: Browser, other: str
) -> None:
    token = Cli(database).json("token", "create")["token"]
    store_candles(database, 50)
    server = start_server(database, ZEON_AUTH="token", ZEON_ALLOWED_ORIGINS=other)
    context = browser.new_context()
    page = context.new_page()
    page.goto(other)
    done = page.evaluate(FOLLOW, {"server": server.url, "token": token, "body": BODY})
    context.close()
    assert done == {"refused": 401, "login": 200, "seqs": list(range(1, 53))}
