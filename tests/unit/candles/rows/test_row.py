from decimal import Decimal

import pytest

from app.candles.rows.reading import time_ms
from app.candles.rows.row import RowError, Value

NEW_YEAR = 1_704_067_200_000


@pytest.mark.parametrize(
    "spelling",
    [
        NEW_YEAR,
        "1704067200000",
        "1704067200",
        1704067200,
        "1704067200000000",
        "1704067200000000000",
        "1704067200.0",
        "1.7040672e12",
        Decimal("1704067200.0"),
        "2024-01-01",
        "20240101",
        "20240101 00:00",
        "2024-01-01 00:00:00",
        "2024-01-01T00:00:00Z",
        "2024-01-01 00:00:00+00:00",
        "2024-01-01T01:00:00+01:00",
        "2024-01-01 00:00:00 UTC",
        "2024.01.01 00:00",
        "2024/01/01 00:00",
        " 2024-01-01 ",
    ],
)
def test_every_spelling_of_a_time_is_the_same_millisecond(spelling: Value) -> None:
    assert time_ms(spelling) == NEW_YEAR


def test_fractions_of_a_second_are_kept() -> None:
    assert time_ms("1704067200.5") == NEW_YEAR + 500


def test_times_before_1970_are_read() -> None:
    assert time_ms("1969-12-31") == -86_400_000


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "31/14/2024", "03/04/2024", "nan", "inf", "1e99", "1e999999999", "2024-13-01", "1e-20000"),
        *("2024-03-04 23:59:60", "２０２４-01-01", "1_704_067_200", "99999999999999999999", "2024-02-30"),
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(RowError, match=r"^time:"):
        time_ms(text)
