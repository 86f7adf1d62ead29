"""Trading by hand on the page of a session: ticket, lines on the chart, reasons, tables, score."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.browser.pages import SessionPage
from tests.browser.site import Site
from tests.browser.test_access import serious_violations, unnamed_controls
from tests.support.cli import Cli

Open = Callable[..., SessionPage]


def orders(site: Site, session_id: str) -> list[dict[str, Any]]:
    return list(site.call("GET", f"/{session_id}/orders")["orders"])


def drag(page: Page, handle: Locator, pixels: int) -> None:
    """Drag a line up or down."""
    box = handle.bounding_box()
    assert box is not None
    x, y = box["x"] + 20, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + pixels / 2)
    page.mouse.move(x, y + pixels)
    page.mouse.up()


def press(page: Page, key: str) -> None:
    """Press a key of the page."""
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press(key)


def test_a_position_is_opened_protected_explained_and_flattened_by_hand(site: Site, open_page: Open) -> None:
    session_id = site.create(profileSlug="manual", config={}, replayMsPerCandle=0)
    site.post(f"/{session_id}/control", {"action": "step", "candles": 150, "wait": True})
    shown = open_page(f"{site.url}/sessions/{session_id}")
    page = shown.page
    shown.until_candles(150)
    page.select_option("#ticket-fill", "same_close")
    page.fill("#ticket-size", "0.05")
    expect(page.locator("#ticket-estimate")).to_contain_text("About 0.05 for ")
    press(page, "b")
    expect(page.locator("#ticket-state")).to_contain_text("Order 1: bought 0.05 at ")
    expect(page.locator(".price-line[data-tone=position]")).to_contain_text("Long 0.05")

    # Why, one click away: the rule, the exact price and fee, and the candle.
    page.click("#ticket-why")
    fill = site.call("GET", f"/{session_id}/events?types=fill&tail=1")["events"][0]["payload"]
    for text in ("same_close", str(fill["price"]), str(fill["fee"]), "It filled at once", "candle: open"):
        expect(page.locator("#why-body")).to_contain_text(text)
    assert serious_violations(page) == []
    page.keyboard.press("Escape")

    # A stop from the ticket, with the price that its line was dragged to.
    page.select_option("#ticket-type", "stop")
    page.click("#ticket details summary")
    page.check("#ticket-reduceOnly")
    before = float(page.input_value("#ticket-stopPrice"))
    drag(page, page.locator(".price-line[data-tone=draft] .price-handle"), 40)
    dragged = float(page.input_value("#ticket-stopPrice"))
    assert dragged < before
    press(page, "s")
    expect(page.locator("#ticket-state")).to_contain_text("Order 2 waits for its price")
    placed = orders(site, session_id)[1]
    assert (placed["type"], placed["stopPrice"], placed["qty"]) == ("stop", dragged, 0.05)

    # A line that is dragged is a cancellation and a new order with the same fields.
    page.select_option("#ticket-type", "market")
    handle = page.locator(".price-line[data-tone=sell] .price-handle")
    expect(handle).to_contain_text("#2 sell 0.05 stop")
    drag(page, handle, 30)
    expect(page.locator("#ticket-state")).to_contain_text("Order 2 was cancelled and order 3 took its place")
    old, new = orders(site, session_id)[1:3]
    assert (old["status"], new["status"], new["type"], new["qty"]) == ("cancelled", "accepted", "stop", 0.05)
    assert new["stopPrice"] < dragged
    control = site.call("GET", f"/{session_id}/events?fromSeq={new['commandSeq']}&limit=1")["events"][0]["payload"]
    assert control["args"]["reduceOnly"] is True

    # The same with keys; Escape takes the price back.
    handle = page.locator(".price-line[data-tone=sell] .price-handle")
    expect(handle).to_contain_text("#3 sell")
    handle.focus()
    for key in ("ArrowUp", "ArrowUp", "Escape", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("#ticket-state")).to_contain_text("order 4 took its place")
    assert orders(site, session_id)[3]["stopPrice"] < new["stopPrice"]

    # An order that is not filled says what it waits for; it is cancelled on the chart.
    page.click(".price-line[data-tone=sell] button[aria-label='Why is order 4 open']")
    expect(page.locator("#why-body")).to_contain_text(re.compile(r"It needs a price of [\d,.]+ or lower"))
    page.keyboard.press("Escape")
    page.click("button[aria-label='Cancel order 4'] >> nth=0")
    expect(page.locator(".price-line[data-tone=sell]")).to_have_count(0)
    assert orders(site, session_id)[3]["status"] == "cancelled"

    # Exits on the wrong side are not sent.
    page.check("#ticket-with-takeProfit")
    press(page, "s")
    expect(page.locator("#ticket-state")).to_contain_text("for a sell it must be below the entry")
    page.uncheck("#ticket-with-takeProfit")

    # An exit is dragged from the position's line: above the last price it takes the profit of a long position.
    drag(page, page.locator(".price-line[data-tone=position] .price-handle"), -60)
    expect(page.locator("#ticket-state")).to_contain_text("Take profit: order 5")
    profit = orders(site, session_id)[4]
    assert (profit["side"], profit["type"], profit["qty"], profit["status"]) == ("SELL", "limit", 0.05, "accepted")

    # A server that is killed: the order is sent again, and is placed once.
    site.server.kill()
    shown.until_state("reconnecting")
    press(page, "f")
    expect(page.locator("#ticket-state")).to_have_text("Sending …")
    site.server.start()
    expect(page.locator("#ticket-state")).to_contain_text("Order 6", timeout=60_000)
    site.post(f"/{session_id}/control", {"action": "step", "candles": 1, "wait": True})
    expect(page.locator(".price-line")).to_have_count(0)
    assert [order["status"] for order in orders(site, session_id)] == ["filled", *["cancelled"] * 4, "filled"]

    # Tables with totals, and a score that can be hidden.
    page.click("#tab-trades")
    expect(page.locator("#trades-rows tr")).to_have_count(1)
    trade = site.call("GET", f"/{session_id}/events?types=trade&tail=1")["events"][0]["payload"]
    net = f"{abs(trade['netPnl']):,.2f}"
    expect(page.locator("#trades-total")).to_contain_text(net)
    expect(page.locator("#trades-total")).to_contain_text("1 trade")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#tab-orders")).to_be_focused()
    expect(page.locator("#orders-rows tr")).to_have_count(6)
    page.click("#orders-rows tr[data-order='1'] button")
    expect(page.locator("#why-title")).to_have_text("Order 1")
    page.keyboard.press("Escape")
    expect(page.locator("#score-text")).to_contain_text("1 won" if trade["netPnl"] > 0 else "0 of 1 won")
    page.click("#score-toggle")
    for hidden in ("#score-text", "#statistics", "#curve-panel"):
        expect(page.locator(hidden)).to_be_hidden()
    page.reload()
    expect(page.locator("#score-toggle")).to_have_text("Show score")
    page.click("#score-toggle")
    expect(page.locator("#score-text")).to_be_visible()
    assert serious_violations(page) == []
    assert unnamed_controls(page) == []
    shown.lost_nothing()
    assert "gives the same log" in Cli(site.database)("verify", session_id)
