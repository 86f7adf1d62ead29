import io

import pytest

from app.candles.formats import csv_file
from app.candles.rows.row import BrokenFileError, Layout, Row, single_rows
from app.errors import BadInputError


def read(text: str | bytes) -> list[Row]:
    items = csv_file.rows(io.BytesIO(text.encode() if isinstance(text, str) else text))
    return list(single_rows(item for item in items if not isinstance(item, Layout)))


FIELDS = ("1704067200000", "1", "4", "0.5", "3", "7")


@pytest.mark.parametrize(
    "header",
    [
        "open_time_ms,open,high,low,close,volume",
        "timestamp,open,high,low,close,volume",
        "Date,Open,High,Low,Close,Volume",
        "Open time,Open,High,Low,Close,Volume",
        "Open Time (UTC),O,H,L,C,V",
        "time,o,h,l,c,v",
        "unix,Open,High,Low,Close,Volume BTC",
        "timestamp,1. open,2. high,3. low,4. close,5. volume",
        "<DATE>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>",
    ],
)
def test_every_usual_header_is_understood(header: str) -> None:
    assert read(f"{header}\n1704067200000,1,4,0.5,3,7\n") == [(2, *FIELDS)]


def test_columns_are_found_by_name_in_any_order() -> None:
    assert read("MTS\tOPEN\tCLOSE\tHIGH\tLOW\tVOLUME\r\n1704067200000\t1\t3\t4\t0.5\t7\r\n") == [(2, *FIELDS)]


def test_a_dump_without_header_is_read_by_position() -> None:
    line = "1704067200000,1,4,0.5,3,7,1704067259999,9,10,11,12,0"
    assert read(f"{line}\n{line}\n") == [(1, *FIELDS), (2, *FIELDS)]


def test_a_day_and_a_time_of_day_are_one_time() -> None:
    rows = read("Date;Time;Open;High;Low;Close\n2024.01.01;00:15;1;4;0.5;3\n")
    assert rows == [(2, "2024.01.01 00:15", "1", "4", "0.5", "3", "0")]


def test_the_traded_currency_is_not_taken_for_the_volume() -> None:
    rows = read("date,open,high,low,close,quote_volume,volume\n1704067200000,1,4,0.5,3,99,7\n")
    assert rows[0][6] == "7"


def test_a_byte_order_mark_comments_and_blank_lines_are_passed_over() -> None:
    text = "\ufeff# made by hand\n\nhttps://example.org\ntime,open,high,low,close,volume\n\n1704067200000,1,4,0.5,3,7\n"
    assert read(text) == [(6, *FIELDS)]


def test_a_row_with_more_or_fewer_cells_than_columns_is_refused() -> None:
    rows = read("time,open,high,low,close,volume\n1704067200000,1\n1704067260000,1,4,0.5,3,7,8\n")
    assert [row[:2] for row in rows] == [
        (2, "it has 2 cells where there are 6 columns: '1704067200000,1'"),
        (3, "it has 7 cells where there are 6 columns: '1704067260000,1,4,0.5,3,7,8'"),
    ]


def test_a_line_without_end_is_not_read_into_memory() -> None:
    with pytest.raises(BrokenFileError, match="longer than"):
        read("time,open,high,low,close,volume\n" + "1" * 200_000)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(BadInputError, match=r"^close: no column"):
        read("time,open,high,low,volume\n1,1,1,1,1\n")


@pytest.mark.parametrize("text", ["", "\n\n", "no candles here\n" * 30])
def test_a_file_without_rows_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match=r"^file: no line with a time and four prices"):
        read(text)
