"""A session that is shared by a link: its page without controls, and the dialog that makes and revokes links."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.pages import SessionPage
from tests.browser.site import Site, store_candles
from tests.browser.test_access import serious_violations, unnamed_controls
from tests.support.cli import Cli
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS
from tests.support.server_process import StartServer

Open = Callable[..., SessionPage]
CALLS = """() => {
  window.calls = [];
  const { fetch } = window;
  window.fetch = (url, options) => { window.calls.push(options?.method ?? "GET"); return fetch(url, options); };
}"""


def test_a_session_is_shared_read_only_until_the_link_is_revoked(
    database: Database, start_server: StartServer, open_page: Open
) -> None:
    store_candles(database, 300)
    token = Cli(database).json("token", "create")["token"]
    server = start_server(database, ZEON_AUTH="token", ZEON_HEARTBEAT_MS=300, ZEON_ROOT_PATH="/zeon")
    site = Site(server, database, token, "/zeon")
    session_id = site.create(name="shared run", replayMsPerCandle=5000, endMs=START_MS + 300 * MINUTE)
    site.post(f"/{session_id}/control", {"action": "step", "candles": 100})
    owner = open_page(f"{site.url}/sessions/{session_id}")
    owner.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    owner.page.fill("#token", token)
    owner.page.keyboard.press("Enter")
    owner.until_status("paused")
    owner.page.click("#share")
    owner.page.select_option("#share-for", "1d")
    owner.page.click("#share-create")
    expect(owner.page.locator("#share-copied")).to_contain_text("Copied")
    expect(owner.page.locator("#share-links li")).to_have_count(1)
    assert serious_violations(owner.page) == []
    assert unnamed_controls(owner.page) == []
    url = owner.page.evaluate("navigator.clipboard.readText()")
    assert url == owner.page.input_value("#share-url")

    guest = open_page(url)
    page = guest.page
    guest.until_candles(100)
    guest.until_state("live")
    expect(page.locator("#title")).to_have_text("shared run")
    for control in ("#controls", "#ticket", "#share", "#copy", ".skip"):
        expect(page.locator(control)).to_be_hidden()
    page.evaluate(CALLS)
    for key in ("Space", "ArrowRight", "1", "b", "s", "f", "j", "ArrowLeft", "p", "Home", "End"):
        page.keyboard.press(key)
    page.locator("#rows a").last.click()
    expect(page.locator("#payload")).to_be_visible()
    assert "seq=" in page.url
    assert "share=" in page.url
    assert set(page.evaluate("calls")) <= {"GET"}
    page.reload()
    guest.until_candles(100)
    assert serious_violations(page) == []
    site.post(f"/{session_id}/control", {"action": "step", "candles": 5})
    guest.until_candles(105)
    guest.lost_nothing()

    reader = open_page(f"{site.url}/sessions/{session_id}")
    reader.page.fill("#token", Cli(database).json("token", "create", "--scope", "read")["token"])
    reader.page.keyboard.press("Enter")
    reader.until_candles(105)
    for control in ("#controls", "#ticket", "#share", "#copy"):
        expect(reader.page.locator(control)).to_be_hidden()
    expect(reader.page.locator("#logout")).to_be_visible()
    reader.page.keyboard.press("b")

    owner.page.click("#share-links button")
    expect(owner.page.locator("#share-links li")).to_have_count(0)
    expect(page.locator("#what")).to_contain_text("This link is no longer valid.")
    expect(page.locator("dialog[open]")).to_have_count(0)
    owner.page.keyboard.press("Escape")
    owner.page.click("#share")
    expect(owner.page.locator("#share-new")).to_be_hidden()
