"""The page of a report in a real browser, from a file: no network, no error, and no wider than a telephone."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from app.cli.report import charts, html
from app.db.log.stats import Point
from app.domain.market.candle import Candle
from app.domain.trading.account import Trade

HOUR = 3_600_000
BARS, TRADES = charts.BARS, charts.ARROWS


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The largest charts and tables there can be, of one symbol whose name is HTML."""
    price, symbol = Decimal("42261.0212345"), "</script><b>"
    bars = [
        Candle(symbol, "1h", n * HOUR, (n + 1) * HOUR, price, price + 9, price - 9, price + n % 7, Decimal(3))
        for n in range(BARS)
    ]
    points = [Point(n, n * HOUR + HOUR, Decimal("10123.456") + n, Decimal(n % 9)) for n in range(BARS)]
    trades = [
        Trade(symbol, "LONG", price, price, price, n * HOUR, n * HOUR + HOUR, Decimal(n % 3 - 1), Decimal(0), 1, "<i>")
        for n in range(TRADES)
    ]
    body = [
        "<h1>Report</h1>",
        html.tiles([("return", "12.00 %")] * 8),
        '<div id="chart" class="chart"></div>',
        html.table(tuple("abcdefghijk"), [["2024-01-01 00:00:00Z"] * 11] * 1000, one_line=True),
        html.data("data", charts.series({symbol: bars}, points, trades, HOUR)),
    ]
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html.page("Report", "".join(body), scripts=(charts.script(),)), "utf-8")
    return path


def test_the_page_is_small_offline_and_fits_a_telephone(browser: Browser, page: Path) -> None:
    assert page.stat().st_size < 1_000_000
    view = browser.new_page(viewport={"width": 390, "height": 844})
    problems: list[str] = []
    asked: list[str] = []
    view.on("console", lambda message: problems.append(message.text))
    view.on("pageerror", lambda error: problems.append(str(error)))
    view.on("request", lambda request: asked.append(request.url))
    view.goto(page.as_uri())
    view.wait_for_selector("#chart canvas")
    assert view.evaluate("document.documentElement.scrollWidth") == 390
    assert view.evaluate("document.querySelector('#chart').getBoundingClientRect().width") > 300
    assert view.locator("b, i").count() == 0, "names and reasons are text"
    assert asked == [page.as_uri()]
    assert problems == []
    view.close()
