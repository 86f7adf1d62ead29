"""Libraries of pages, and development servers in between, with the lines of docs/clients.md, in Chromium."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from app.web.website import FOLDER
from tests.browser.site import Site
from tests.browser.test_other_origin import BODY, FOLLOW
from tests.clients.development import any_port, vite, webpack
from tests.clients.following import DOCUMENTED, block, candles_only, kill_midway, last_seq, serve, until
from tests.support.cli import Cli
from tests.support.postgres import Database
from tests.support.server_process import StartServer

pytestmark = [pytest.mark.clients, pytest.mark.timeout(600)]
PACKAGES = {
    "EventSource": "",
    "fetch-event-source": "@microsoft/fetch-event-source",
    "event-source-polyfill": "event-source-polyfill",
    "sse.js": "sse.js",
}
BEFORE = """const url = new URLSearchParams(location.search).get("url");
const use = (event) => seqs.push(event.seq);
window.seqs = [];
"""
TAIL = """async ({ token, id }) => {
  const { Client } = await import("/zeon.js");
  const client = new Client(location.origin);
  await client.login(token);
  window.seqs = [];
  window.ended = false;
  (async () => {
    for await (const { seq } of client.tail(id, { silenceMs: 3000 })) seqs.push(seq);
    window.ended = true;
  })();
}"""
ASKED_AGAIN_S = 2.5
"""Longer than a client waits before it asks again, which is a second."""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a context of its own."""
    context = browser.new_context()
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("library", PACKAGES)
def test_a_library_follows_a_session_on_another_origin_through_a_killed_server_and_stops_at_204(
    database: Database, start_server: StartServer, page: Page, tmp_path: Path, library: str
) -> None:
    port, origin = any_port()
    site = serve(database, start_server, ZEON_ALLOWED_ORIGINS=origin)
    session_id = candles_only(site)
    config = f"export default {{ optimizeDeps: {{ include: {[PACKAGES[library]] if PACKAGES[library] else []} }} }};"
    with vite(tmp_path, port, config, BEFORE + block(library, "js")):
        page.goto(f"{origin}/?url={site.url}/api/sim/sessions/{session_id}/stream")
        page.wait_for_function("() => window.seqs !== undefined")
        site.post(f"/{session_id}/start")
        kill_midway(site, session_id)
        site.finished(session_id)
        last = last_seq(site, session_id)
        page.wait_for_function("last => seqs.at(-1) >= last", arg=last)
        until(lambda: count_204(site) == 1)
        time.sleep(ASKED_AGAIN_S)
        assert count_204(site) == 1
        assert page.evaluate("seqs") == list(range(1, last + 1))
    assert last > 1000


@pytest.mark.parametrize("bundler", ["vite", "webpack"])
def test_a_page_behind_a_development_server_logs_in_posts_and_follows(
    database: Database, start_server: StartServer, page: Page, tmp_path: Path, bundler: str
) -> None:
    port, origin = any_port()
    token = Cli(database).json("token", "create")["token"]
    site = serve(database, start_server, ZEON_AUTH="token", ZEON_ALLOWED_ORIGINS=origin)
    with proxied(bundler, tmp_path, port, site):
        page.goto(origin)
        done = page.evaluate(FOLLOW, {"server": "", "token": token, "body": BODY})
    assert done == {"refused": 401, "login": 200, "seqs": list(range(1, 53))}


@pytest.mark.parametrize("bundler", ["vite", "webpack"])
def test_the_client_outlives_a_server_that_is_killed_behind_a_development_server(
    database: Database, start_server: StartServer, page: Page, tmp_path: Path, bundler: str
) -> None:
    port, origin = any_port()
    token = Cli(database).json("token", "create")["token"]
    site = serve(database, start_server, ZEON_AUTH="token", ZEON_ALLOWED_ORIGINS=origin, ZEON_HEARTBEAT_MS=500)
    site.token = token
    session_id = candles_only(site)
    (tmp_path / "zeon.js").write_text((FOLDER / "client.js").read_text())
    with proxied(bundler, tmp_path, port, site):
        page.goto(origin)
        page.evaluate(TAIL, {"token": token, "id": session_id})
        site.post(f"/{session_id}/start")
        kill_midway(site, session_id)
        page.wait_for_function("() => ended")
        assert page.evaluate("seqs") == list(range(1, last_seq(site, session_id) + 1))


def proxied(bundler: str, folder: Path, port: int, site: Site) -> AbstractContextManager[str]:
    """Serve a page with the configuration that docs/clients.md shows."""
    config = block(f"`{bundler}.config.js`:", "js").replace(DOCUMENTED, site.url)
    return {"vite": vite, "webpack": webpack}[bundler](folder, port, config)


def count_204(site: Site) -> int:
    """Return how many requests the server answered with 204 since it was started."""
    with urllib.request.urlopen(f"{site.url}/metrics") as answer:
        results = re.search(r'^zeon_requests_total\{status="204"\} (\d+)', answer.read().decode(), re.MULTILINE)
    return int(results[1]) if results else 0
