"""The two pages as tests use them: by what a person sees on them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import ConsoleMessage, Page, expect

from tests.support.cli import Cli
from tests.support.process import free_port
from tests.support.servers import Database

EXPECTED = "Failed to load resource"
"""What Chromium logs for every call that is refused, and while a server is away."""

LATE_FRAMES = """() => {
  window.requestAnimationFrame = (draw) => setTimeout(() => draw(performance.now()), 1200);
}"""
"""Draws as a busy machine does: each frame more than a second after it was asked for."""


class Watched:
    """A page, and what it logged as wrong: uncaught exceptions and breaches of the policy among it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(EXPECTED):
            self.complaints.append(message.text)


class SessionPage(Watched):
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
        """Wait until every event is drawn that the session had at the last answer; a status shows before they are."""
        expect(self.page.locator("#stream-lag")).to_have_text("0 events", timeout=60_000)

    def lost_nothing(self) -> None:
        assert (self.number("duplicates"), self.number("missed")) == (0, 0)


@contextmanager
def demo(database: Database) -> Iterator[str]:
    """Run `zeon demo`; give the address of its page."""
    with Cli(database, PORT=free_port(), ZEON_POLL_MS=200).start("demo", "--no-open") as process:
        try:
            assert process.stdout is not None
            said = ""
            while "Ctrl-C" not in said:
                line = process.stdout.readline()
                assert line, said
                said += line
            found = re.search(r"page +(http://\S+)", said)
            assert found is not None, said
            yield found[1]
        finally:
            process.terminate()
            process.wait(10)


def fits(page: Page) -> bool:
    """Whether nothing sticks out of the window at its right."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))
