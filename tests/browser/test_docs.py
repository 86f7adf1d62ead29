"""The reference of the API in a real browser: complete, from this server alone, and under the strict policy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from app.web.website import FOLDER
from tests.browser.pages import SessionPage, fits
from tests.browser.site import Site

Open = Callable[..., SessionPage]
VIOLATIONS = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
"""


@pytest.fixture(autouse=True)
def _library() -> None:
    if not (FOLDER / "vendor" / "swagger-ui-bundle.js").exists():
        pytest.skip("no Swagger UI: make install brings it")


def test_the_reference_shows_every_call_and_makes_them(site: Site, open_page: Open) -> None:
    phone, desktop = {"width": 390, "height": 844}, {"width": 1280, "height": 844}
    shown = open_page(site.url, viewport=phone, has_touch=True, is_mobile=True, color_scheme="dark")
    page = shown.page
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.add_init_script(VIOLATIONS)
    page.click("text=API")
    page.wait_for_url("**/docs")
    document = page.request.get(f"{site.url}/openapi.json").json()
    operations = sum(len(methods) for methods in document["paths"].values())
    expect(page.locator(".opblock")).to_have_count(operations)
    assert fits(page)

    listing = page.locator("#operations-sessions-listSessions")
    listing.locator(".opblock-summary-control").click()
    listing.locator(".try-out__btn").click()
    listing.locator("button.execute").click()
    expect(listing.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    stream = page.locator("#operations-log-streamEvents")
    stream.locator(".opblock-summary-control").click()
    expect(stream).to_contain_text("text/event-stream")
    page.locator("#operations-sessions-createSession .opblock-summary-control").click()
    page.locator("#operations-sessions-createSession .tabitem", has_text="Schema").first.click()
    assert fits(page)
    models = page.locator("section.models > h4 button")
    models.click()
    expect(page.locator("section.models")).to_contain_text("AccountAnswer")  # Only models near the window are there.
    assert fits(page)
    page.set_viewport_size(desktop)
    page.emulate_media(color_scheme="light")
    expect(page.locator("html.dark-mode")).to_have_count(0)
    assert fits(page)
    assert page.evaluate("violations") == []
    assert {url.split("/")[2] for url in requested if not url.startswith("blob:")} == {site.url.split("/")[2]}
