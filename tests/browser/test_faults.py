"""Pages whose server, database, session or token is lost."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Route, expect

from tests.browser.pages import SessionPage
from tests.browser.site import Site
from tests.support.cli import Cli
from tests.support.postgres import Database
from tests.support.server_process import StartServer
from tests.support.session_log import lose_events

Open = Callable[..., SessionPage]
BODY = {"profileSlug": "none", "symbol": "BTCUSDT", "timeframe": "1m", "startMs": 1_704_067_200_000}
CREATE = """body => fetch("/api/sim/sessions", {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
}).then((answer) => answer.json()).then(({ data }) => data.id)"""
LOGIN = "dialog[aria-labelledby=login-title]"


def test_an_open_page_continues_when_its_server_is_killed_and_restarted(site: Site, open_page: Open) -> None:
    shown = open_page(site.start())
    shown.until_candles(50)
    site.server.kill()
    shown.until_state("reconnecting")
    expect(shown.page.locator("#away")).to_be_visible()
    before = shown.number("candles")
    site.server.start()
    shown.until_state("live")
    expect(shown.page.locator("#away")).to_be_hidden()
    shown.until_status("paused")
    shown.page.keyboard.press("Space")
    shown.until_candles(before + 30)
    shown.lost_nothing()


def test_the_page_continues_after_the_database_dropped_every_connection(site: Site, open_page: Open) -> None:
    shown = open_page(site.start())
    shown.until_candles(30)
    site.database.query(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    before = shown.number("candles")
    shown.page.wait_for_function(
        "() => ['live', 'catching up'].includes(document.getElementById('stream-state').textContent)"
    )
    if shown.page.inner_text("#status") != "running":
        shown.page.keyboard.press("Space")
    shown.until_candles(before + 30)
    shown.lost_nothing()


def test_a_page_whose_log_is_shorter_says_so_and_shows_the_log_as_it_is_now(site: Site, open_page: Open) -> None:
    session_id = site.start().rsplit("/", 1)[-1]
    shown = open_page(f"{site.url}/sessions/{session_id}")
    shown.until_candles(30)
    site.post(f"/{session_id}/pause")
    shown.until_status("paused")
    lose_events(site.database, session_id, 12)
    site.database.query("SELECT pg_notify('sim_events', '*')")
    expect(shown.page.locator("#problem")).to_contain_text("The log is shorter than what was sent")
    expect(shown.page.locator("#problem")).to_contain_text("shows the log as it is now")
    shown.until_state("live")
    assert shown.number("candles") < 12


def test_the_page_of_a_deleted_session_says_that_it_is_not_found(site: Site, open_page: Open) -> None:
    session_id = site.create()
    shown = open_page(f"{site.url}/sessions/{session_id}")
    shown.until_state("live")
    site.call("DELETE", f"/{session_id}")
    expect(shown.page.locator("#title")).to_have_text("Session not found")
    expect(shown.page.locator("#controls")).to_be_hidden()
    shown.page.click("#what a")
    expect(shown.page.locator("h1")).to_have_text("Sessions")


def test_a_server_with_tokens_asks_for_one_and_again_when_it_is_revoked(
    database: Database, start_server: StartServer, open_page: Open
) -> None:
    command = Cli(database)
    first, second = command.json("token", "create"), command.json("token", "create")
    server = start_server(database, ZEON_AUTH="token", ZEON_HEARTBEAT_MS=500)
    shown = open_page(server.url)
    page = shown.page
    page.fill("#token", "wrong")
    page.keyboard.press("Enter")
    expect(page.locator(f"{LOGIN} .problem")).to_have_text("This token is not valid.")
    page.fill("#token", first["token"])
    page.keyboard.press("Enter")
    expect(page.locator("#empty")).to_be_visible()
    cookie = next(item for item in page.context.cookies() if item["name"] == "zeon")
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")

    page.goto(f"{server.url}/sessions/{page.evaluate(CREATE, BODY)}")
    shown.until_state("live")
    command("token", "revoke", first["id"])
    expect(page.locator(LOGIN)).to_be_visible()
    page.fill("#token", second["token"])
    page.keyboard.press("Enter")
    expect(page.locator(LOGIN)).to_have_count(0)
    shown.until_state("live")
    shown.lost_nothing()

    page.click("#logout")
    expect(page.locator(LOGIN)).to_be_visible()
    expect(page.locator("#logout")).to_be_hidden()
    assert not page.context.cookies()


def test_a_call_sent_before_a_login_and_refused_after_it_is_repeated_without_asking(
    database: Database, start_server: StartServer, open_page: Open
) -> None:
    token = Cli(database).json("token", "create")["token"]
    page = open_page(start_server(database, ZEON_AUTH="token").url).page
    expect(page.locator(LOGIN)).to_be_visible()
    held: list[Route] = []
    page.route("**/profiles?late", lambda route: route.continue_() if held else held.append(route))
    page.evaluate(
        """() => import("/static/common/api.js").then(({ get }) => {
          get("/api/sim/profiles?late").then(() => { window.answered = true; });
        })"""
    )
    page.fill("#token", token)
    page.keyboard.press("Enter")
    expect(page.locator(LOGIN)).to_have_count(0)
    held[0].fulfill(status=401, json={"success": False, "error": "Log in.", "code": "unauthorized"})
    page.wait_for_function("() => window.answered")
    expect(page.locator(LOGIN)).to_have_count(0)
