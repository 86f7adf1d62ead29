"""What the encoder of a candle event writes, the decoders read again."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db.log.simulated_events import event_lines
from app.domain import candle_event
from app.domain.event import Event, log
from app.domain.market.candle import Candle

numbers = st.decimals(-(10**9), 10**9, places=12) | st.integers(0, 10**6).map(Decimal) | st.just(Decimal("1E+3"))
symbols = st.text("ABCXYZ0189.", min_size=1, max_size=40)
times = st.integers(-(10**13), 10**13)
candles = st.builds(
    Candle, symbols, st.sampled_from(["1m", "3d", "1w"]), times, times, *5 * [numbers], synthetic=st.booleans()
)


@given(candles)
def test_a_candle_comes_back_from_its_event(candle: Candle) -> None:
    body = candle_event.encode(5, candle).body
    assert candle_event.decode(body) == candle


@given(st.lists(candles, min_size=1, max_size=5))
def test_candles_come_back_from_the_lines_of_their_events(wanted: list[Candle]) -> None:
    lines = event_lines([candle_event.encode(5, candle) for candle in wanted])
    assert candle_event.decode_lines("\n".join(lines), lines) == wanted
    assert candle_event.decode_lines("\n".join(lines), []) == wanted, "the quick decoder knows the encoder's order"


def made(open_ms: int, timeframe: str = "1m", volume: str = "0.5", *, synthetic: bool = False) -> Candle:
    return Candle(
        "BTCUSDT",
        timeframe,
        open_ms,
        open_ms + 60_000,
        Decimal("2.5"),
        Decimal(3),
        Decimal("-1.25"),
        Decimal(2),
        Decimal(volume),
        synthetic=synthetic,
    )


REAL = [made(0), made(60_000, "5m"), made(120_000, volume="0.0000000000001")]


@pytest.mark.parametrize(
    "others",
    [
        [],
        [made(180_000, synthetic=True)],
        [log(7, 'as text: 5 candle {"candle":{"low":1}}')],
        [log(7, "a candle {of another kind")],
        [made(180_000, synthetic=True), log(7, "a candle {of another kind")],
        [Event(7, "candle", '{"equity":1}'), made(180_000)],
        [Event(7, "candle", '{"candle":{"open":"abc"}}'), made(180_000)],
        [Event(7, "log candle {", "{}"), made(180_000)],
    ],
    ids=[
        "real",
        "synthetic",
        "a text like one",
        "a text that begins so",
        "synthetic and a text",
        "none",
        "no number",
        "a type",
    ],
)
def test_candles_are_found_among_lines_whatever_stands_beside_them(others: list[Candle | Event]) -> None:
    events = [item if isinstance(item, Event) else candle_event.encode(5, item) for item in [*REAL, *others]]
    lines = event_lines(events)
    candles = candle_event.decode_lines("\n".join(lines), lines)
    assert candles == [*REAL, *(other for other in others if isinstance(other, Candle))]
