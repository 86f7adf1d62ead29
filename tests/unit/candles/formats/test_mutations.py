"""Whatever is done to a file, reading it ends in sound candles or one sentence."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import hypothesis
import pytest
from hypothesis import strategies as st

from app.candles.imports.importer import FileReader
from app.candles.rows.quality import RowValidator
from app.candles.rows.read_options import read_options
from app.candles.rows.request import ReadRequest
from app.domain.market.timeframe import TIMEFRAMES
from tests.support.mutations import check_reading, mutations, seeds


@pytest.mark.parametrize("files", [300, pytest.param(5_000, marks=pytest.mark.chaos)])
def test_damaged_files_give_sound_candles_or_one_sentence(tmp_path: Path, files: int) -> None:
    draw = random.Random(15)
    count = 0
    for number, data in enumerate(islice(mutations(15, seeds()), files)):
        path = tmp_path / f"BTCUSDT-{number}.csv"
        path.write_bytes(data)
        count += check_reading(path, draw.choice(["1m", "1h", "1d", "1w"]))
        path.unlink()
    assert count > files


@hypothesis.given(st.binary(max_size=400), st.sampled_from(list(TIMEFRAMES)))
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes, timeframe: str) -> None:
    path = tmp_path / "any"
    path.write_bytes(data)
    check_reading(path, timeframe)


TimeFormat = Callable[[datetime], str]
FORMS: dict[str, tuple[TimeFormat, dict[str, str]]] = {
    "ms": (lambda time: str(int(time.timestamp() * 1_000)), {}),
    "s": (lambda time: str(int(time.timestamp())), {}),
    "us": (lambda time: str(int(time.timestamp() * 1_000_000)), {}),
    "ns": (lambda time: f"{int(time.timestamp())}000000000", {}),
    "iso": (lambda time: time.isoformat(), {}),
    "go": (lambda time: time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC"), {}),
    "compact": (lambda time: time.strftime("%Y%m%d%H%M%S"), {}),
    "short": (lambda time: time.strftime("%Y%m%d%H%M"), {}),
    "day first": (lambda time: time.strftime("%d.%m.%Y %H:%M"), {"dates": "dmy"}),
    "month first": (lambda time: time.strftime("%m/%d/%Y %I:%M %p"), {"dates": "mdy"}),
    "words": (lambda time: time.strftime("%d-%b-%Y %H:%M"), {}),
    "american": (lambda time: time.strftime("%b %d, %Y %H:%M:%S"), {}),
    "berlin": (
        lambda time: time.astimezone(ZoneInfo("Europe/Berlin")).strftime("%Y-%m-%d %H:%M"),
        {"time_zone": "Europe/Berlin"},
    ),
    "sydney": (lambda time: time.astimezone(ZoneInfo("Australia/Sydney")).isoformat(), {}),
    "new york": (
        lambda time: time.astimezone(ZoneInfo("America/New_York")).strftime("%Y-%m-%d %H:%M"),
        {"time_zone": "America/New_York"},
    ),
    "close": (lambda time: (time + timedelta(hours=1)).isoformat(), {"stamp": "close"}),
}
LAYOUTS = {
    "comma": (",", "."),
    "semicolon": (";", ","),
    "tab": ("\t", "."),
    "bar": ("|", ","),
}
candles = st.lists(
    st.tuples(*[st.decimals("0.000001", "99999", places=6)] * 4, st.decimals("0", "1e9", places=3)),
    min_size=4,
    max_size=30,
)


@pytest.mark.parametrize("form", FORMS)
@hypothesis.given(
    rows=candles,
    start=st.datetimes(datetime.fromisoformat("2001-09-10"), datetime.fromisoformat("2025-01-01")),
    layout=st.sampled_from(list(LAYOUTS)),
    order=st.permutations(["time", "open", "high", "low", "close", "volume"]),
    newest_first=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
@hypothesis.settings(
    max_examples=25, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture], deadline=None
)
def test_candles_come_back_equal_from_every_way_to_write_them(
    tmp_path: Path,
    form: str,
    rows: list[tuple[Decimal, ...]],
    start: datetime,
    layout: str,
    order: list[str],
    newest_first: bool,
    encoding: str,
    end: str,
) -> None:
    first = start.replace(minute=0, second=0, microsecond=0, tzinfo=UTC)
    written, options = FORMS[form]
    delimiter, decimal = LAYOUTS[layout]
    expected, lines = [], [delimiter.join(order)]
    for number, (*prices, volume) in enumerate(rows):
        time = first + timedelta(hours=number)
        low, opened, close, high = sorted(prices)
        expected.append((int(time.timestamp() * 1_000), (opened, high, low, close, volume)))
        named = dict(zip(("open", "high", "low", "close", "volume"), expected[-1][1], strict=True))
        texts = {name: format(value, "f").replace(".", decimal) for name, value in named.items()} | {
            "time": written(time)
        }
        lines.append(delimiter.join(f'"{texts[name]}"' if delimiter in texts[name] else texts[name] for name in order))
    if newest_first:
        lines[1:] = lines[:0:-1]
    path = tmp_path / "table"
    path.write_bytes(end.join([*lines, ""]).encode(encoding))
    request = ReadRequest("BTCUSDT", TIMEFRAMES["1h"], read_options(**options))
    check = RowValidator("BTCUSDT", TIMEFRAMES["1h"], request.now_ms)
    result = sorted(
        (time, tuple(map(Decimal, numbers)))
        for piece in FileReader([path], check, request).columns()
        if piece.times
        for time, *numbers in zip(piece.times, *piece.numbers, strict=True)
    )
    assert check.refusals == []
    assert result == expected
