"""The list of sessions that has many, the comparison, and a wrong address."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.pages import SessionPage, fits
from tests.browser.site import Site
from tests.browser.test_access import serious_violations, unnamed_controls

Open = Callable[..., SessionPage]


def test_sessions_are_filtered_named_folded_and_compared(site: Site, open_page: Open) -> None:
    plain = {"replayMsPerCandle": 0, "record": "trades"}
    ids = [
        site.create(name=f"slow {slow}", tags=["sweep-test"], config={"fast": 5, "slow": slow}, **plain)
        for slow in (20, 30, 40)
    ]
    for session_id in ids:
        site.post(f"/{session_id}/start")
        site.finished(session_id)
    shown = open_page(site.url)
    page = shown.page
    page.fill("#filter", "sweep-test sma_cross")
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.locator("#rows tr")).to_contain_text("3 finished")
    page.locator("#rows .fold").press("Enter")
    expect(page.locator("#rows tr")).to_have_count(4)
    page.select_option("#order", "name")
    expect(page.locator("#rows .name")).to_have_text(["slow 20", "slow 30", "slow 40"])
    row = page.locator("#rows tr", has_text="slow 30")
    row.locator("summary").press("Enter")
    assert (row.get_by_role("link", name="Trades, CSV").get_attribute("href") or "").endswith("what=trades&format=csv")
    row.get_by_role("button", name="Name and tags").click()
    assert serious_violations(page) == []
    assert unnamed_controls(page) == []
    page.keyboard.type("renamed")
    page.keyboard.press("Enter")
    expect(page.locator("#rows .name", has_text="renamed")).to_be_visible()
    assert site.call("GET", f"/{ids[1]}")["name"] == "renamed"
    expect(page.locator("#compare")).to_be_disabled()
    for name in ("slow 20", "renamed"):
        page.get_by_role("checkbox", name=f"Select {name}").check()
    page.set_viewport_size({"width": 360, "height": 800})
    assert fits(page)
    page.click("#compare")
    page.wait_for_url("**/compare?ids=*")
    expect(page.locator("#settings")).to_contain_text("config.slow")
    expect(page.locator("#figures th[scope=col]")).to_have_text(["renamed", "slow 20"])
    expect(page.locator("#legend li")).to_have_count(2)
    assert fits(page)
    page.set_viewport_size({"width": 3840, "height": 2160})
    assert fits(page)
    assert serious_violations(page) == []
    assert unnamed_controls(page) == []
    page.locator("#parting tbody a").first.click()
    page.wait_for_url("**/sessions/*?seq=*")


def test_a_wrong_address_is_a_page_for_a_browser_and_json_for_a_program(site: Site, open_page: Open) -> None:
    shown = open_page(f"{site.url}/sessions/nothing")
    expect(shown.page.locator("h1")).to_have_text("Page not found")
    assert serious_violations(shown.page) == []
    for path, accept in (("/nothing", "application/json"), ("/api/nothing", "text/html")):
        answer = shown.page.request.get(f"{site.url}{path}", headers={"Accept": accept})
        assert (answer.status, answer.json()["code"]) == (404, "not_found")
