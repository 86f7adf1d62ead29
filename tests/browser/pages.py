"""The two pages as tests use them: through what a person sees."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import ConsoleMessage, Page, expect

from tests.support.cli import Cli
from tests.support.postgres import Database
from tests.support.server_process import free_port

EXPECTED = "Failed to load resource"
"""What Chromium logs for each call that fails, also while a server is down."""

LATE_FRAMES = """() => {
  window.requestAnimationFrame = (draw) => setTimeout(() => draw(performance.now()), 1200);
}"""
"""Draws each frame more than a second late, as a busy machine does."""


class WatchedPage:
    """A page and the errors it logged, such as uncaught exceptions and violations of the security policy."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(EXPECTED):
            self.errors.append(message.text)


class SessionPage(WatchedPage):
    """The page of one session."""

    def number(self, name: str) -> int:
        """Read a number of the stream panel: seq, lag, duplicates, missed or candles."""
        return int(re.sub(r"\D", "", self.page.inner_text(f"#stream-{name}")))

    def until_state(self, state: str, seconds: float = 60) -> None:
        expect(self.page.locator("#stream-state")).to_have_text(state, timeout=seconds * 1000)

    def until_status(self, status: str, seconds: float = 60) -> None:
        expect(self.page.locator("#status")).to_have_text(status, timeout=seconds * 1000)

    def until_candles(self, count: int, seconds: float = 60) -> None:
        script = "n => Number(document.getElementById('stream-candles')?.textContent.replace(/\\D/g, '')) >= n"
        self.page.wait_for_function(script, arg=count, timeout=seconds * 1000)

    def until_caught_up(self) -> None:
        """Wait until every event of the last answer is drawn; the status is shown before that."""
        expect(self.page.locator("#stream-lag")).to_have_text("0 events", timeout=60_000)

    def lost_nothing(self) -> None:
        assert (self.number("duplicates"), self.number("missed")) == (0, 0)


@contextmanager
def demo(database: Database) -> Iterator[str]:
    """Run `zeon demo`; yields the address of its page."""
    with Cli(database, PORT=free_port(), ZEON_POLL_MS=200).start("demo", "--no-open") as process:
        try:
            assert process.stdout is not None
            output = ""
            while "Ctrl-C" not in output:
                line = process.stdout.readline()
                assert line, output
                output += line
            match = re.search(r"page +(http://\S+)", output)
            assert match is not None, output
            yield match[1]
        finally:
            process.terminate()
            process.wait(10)


def fits(page: Page) -> bool:
    """Whether the page is not wider than the window; `innerWidth` would grow with a page that is, as on phones."""
    assert page.viewport_size is not None
    return bool(page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"])
