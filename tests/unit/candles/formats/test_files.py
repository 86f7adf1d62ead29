import gzip
import hashlib
import json
import zipfile
from decimal import Decimal
from pathlib import Path

import pytest

from app.candles.formats import dump, files, unpack
from app.candles.rows.quality import RowValidator
from app.candles.rows.reading import Reading
from app.candles.rows.request import ReadRequest
from app.candles.rows.row import BrokenFileError, Row, RowIssue, single_rows
from app.domain.market.candle import Candle
from app.domain.market.timeframe import timeframe
from app.errors import BadInputError

START = 1_704_067_200_000
LINE = "1704067200000,1,4,0.5,3,7"
ROW = (1, "1704067200000", "1", "4", "0.5", "3", "7")


def read(path: Path) -> list[Row | RowIssue]:
    with path.open("rb") as file:
        return list(single_rows(item for item in files.rows(path, file) if not isinstance(item, Reading)))


def read_until_broken(path: Path, places: list[int]) -> None:
    """Note the place of every row that comes before the file breaks off."""
    with path.open("rb") as file:
        rows = single_rows(item for item in files.rows(path, file) if not isinstance(item, Reading))
        places.extend(row[0] for row in rows)


def read_candles(path: Path, name: str = "1m") -> list[Candle]:
    grid = timeframe(name)
    check = RowValidator("BTCUSDT", grid, now_ms=10**14)
    request = ReadRequest("BTCUSDT", grid)
    with path.open("rb") as file:
        results = list(check.columns(files.rows(path, file, request)))
    assert check.refused == 0, check.refusals
    return [
        Candle("BTCUSDT", name, open_ms, open_ms + grid.ms, *map(Decimal, numbers))
        for piece in results
        for open_ms, *numbers in zip(piece.times, *piece.numbers, strict=True)
    ]


def zipped(path: Path, **members: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def test_plain_gzip_and_zip_are_told_apart_by_their_content(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text(LINE)
    (tmp_path / "packed").write_bytes(gzip.compress(LINE.encode()))
    zipped(tmp_path / "zipped", **{"a.csv": LINE, "read me.md": "no candles"})
    assert [read(tmp_path / name) for name in ("plain", "packed", "zipped")] == [[ROW]] * 3


def test_names_inside_an_archive_are_never_paths(tmp_path: Path) -> None:
    path = zipped(tmp_path / "in" / "a.zip", **{"../../escaped.csv": LINE, "/absolute.csv": LINE})
    assert read(path) == [ROW, ROW]
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "a.zip"]


def test_a_cut_gzip_file_gives_its_good_half_and_then_says_where_it_broke(tmp_path: Path) -> None:
    lines = "".join(f"{START + n * 60000},1,4,0.5,{1 + n % 9999 / 9999:.4f},7\n" for n in range(40_000))
    packed = gzip.compress(lines.encode())
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(packed[: len(packed) // 2])
    places: list[int] = []
    with pytest.raises(BrokenFileError, match=r"^after line "):
        read_until_broken(path, places)
    assert places == list(range(1, len(places) + 1))
    assert 10_000 < len(places) < 30_000


def test_a_file_that_unpacks_to_far_too_much_is_not_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "SMALL_BYTES", 2**16)
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(f"{LINE}\n".encode() * 500_000))
    with pytest.raises(BrokenFileError, match="unpacks to far more than candles would"):
        read(path)


def test_a_broken_archive_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"PK\x03\x04 and nothing that follows")
    with pytest.raises(BrokenFileError, match="the archive cannot be read"):
        read(path)


def test_a_member_with_a_wrong_checksum_breaks_off_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", LINE)
    path.write_bytes(path.read_bytes().replace(LINE.encode(), LINE.replace("7", "8").encode()))
    with pytest.raises(BrokenFileError, match=r"^a\.csv: .*CRC"):
        read(path)


def test_a_dump_is_compared_with_the_checksum_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-1m-2024-01-01.csv"
    path.write_text(LINE)
    checksum = tmp_path / f"{path.name}.CHECKSUM"
    checksum.write_text(f"{hashlib.sha256(LINE.encode()).hexdigest()}  {path.name}\n")
    assert read(path) == [ROW]
    checksum.write_text(f"{'0' * 64}  {path.name}\n")
    with pytest.raises(BadInputError, match="differs from its checksum"):
        read(path)


def test_of_a_folder_the_files_of_the_symbol_and_timeframe_are_taken(tmp_path: Path) -> None:
    for name in ("BTCUSDT-1m-2024-01-02.zip", "BTCUSDT-1m-2024-01-01.zip", "BTCUSDT-1m-2024-01-01.zip.CHECKSUM"):
        (tmp_path / name).touch()
    for name in ("BTCUSDT-15m-2024-01.zip", "BTC_USDT-1m.feather", "ETHUSDT-1m.csv", "README.md", ".hidden"):
        (tmp_path / name).touch()
    results = [path.name for path in dump.files(tmp_path, "BTCUSDT", "1m")]
    assert results == ["BTCUSDT-1m-2024-01-01.zip", "BTCUSDT-1m-2024-01-02.zip", "BTC_USDT-1m.feather"]
    with pytest.raises(BadInputError, match=r"^symbol: there is no file named SOLUSDT and 1m"):
        dump.files(tmp_path, "SOLUSDT", "1m")


def test_of_a_folder_named_like_the_symbol_all_files_are_taken(tmp_path: Path) -> None:
    folder = tmp_path / "btcusd"
    folder.mkdir()
    (folder / "20240101_trade.zip").touch()
    assert [path.name for path in dump.files(folder, "BTCUSD", "1m")] == ["20240101_trade.zip"]


STANDARD = [START, "10", "12", "9", "11", "5"]
SOUND = (Decimal(10), Decimal(12), Decimal(9), Decimal(11), Decimal(5))


@pytest.mark.parametrize(
    "answer",
    [
        [STANDARD],
        [[*STANDARD, START + 59_999, "50", 3, "1", "2", "0"]],
        [[START, 10, 11, 12, 9, 5]],
        [[START // 1000, 9, 12, 10, 11, 5]],
        {"retCode": 0, "result": {"symbol": "BTCUSDT", "list": [[str(START), *STANDARD[1:], "50"]]}},
        {
            "error": [],
            "result": {"XBTUSD": [[START // 1000, "10", "12", "9", "11", "10.5", "5", 3]], "last": START // 1000},
        },
        {"data": [[str(START), *STANDARD[1:], "0", "0", "1"]]},
        {
            "candles": [
                {"start": str(START // 1000), "low": "9", "high": "12", "open": "10", "close": "11", "volume": "5"}
            ]
        },
        [{"date": "2024-01-01T00:00:00Z", "open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 5.0}],
    ],
    ids=["ccxt", "binance", "bitfinex", "coinbase-array", "bybit", "kraken", "okx", "coinbase", "records"],
)
def test_json_of_every_exchange_is_one_candle(tmp_path: Path, answer: object) -> None:
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(answer))
    (candle,) = read_candles(path)
    assert (candle.open_time_ms, candle[4:9]) == (START, SOUND)


def test_a_row_that_says_it_was_still_open_is_not_taken(tmp_path: Path) -> None:
    rows = [[START // 1000 + n * 60, "10", "12", "9", "11", "10.5", "5", 3] for n in range(3)]
    path = tmp_path / "kraken.json"
    path.write_text(json.dumps({"error": [], "result": {"X": rows, "last": START // 1000 + 60}}))
    assert read(path)[2] == RowIssue(3, "the candle was still open when it was saved")
    path.write_text(json.dumps({"data": [[str(START), *STANDARD[1:], "0", "0", "0"]]}))
    assert read(path) == [RowIssue(1, "the candle was still open when it was saved")]


def test_json_numbers_that_were_binary_floats_lose_their_noise(tmp_path: Path) -> None:
    path = tmp_path / "noise.json"
    path.write_text(
        f"[[{START}, 5.330000000000001e-05, 5.330000000000001e-05, 5.33e-05, 5.33e-05, 2697616.0709080002]]"
    )
    (candle,) = read_candles(path)
    assert (candle.open, candle.volume) == (Decimal("0.0000533"), Decimal("2697616.070908"))


def test_cut_json_gives_its_good_half_and_then_says_where_it_broke(tmp_path: Path) -> None:
    text = json.dumps([[START + n * 60_000, *STANDARD[1:]] for n in range(10_000)])
    path = tmp_path / "cut.json"
    path.write_text(text[: len(text) // 2])
    places: list[int] = []
    with pytest.raises(BrokenFileError, match=r"^after row \d+: the file ends inside of a row"):
        read_until_broken(path, places)
    assert 4_900 < len(places) < 5_100


def test_lean_folders_say_what_times_and_prices_mean(tmp_path: Path) -> None:
    stock = zipped(
        tmp_path / "equity/usa/minute/spy/20240102_trade.zip",
        **{"20240102_spy_minute_trade.csv": "34200000,4700000,4710000,4690000,4705000,100\n"},
    )
    (candle,) = read_candles(stock)
    assert (candle.open_time_ms, str(candle.close), candle.volume) == (1_704_205_800_000, "470.5", 100)
    coin = zipped(tmp_path / "crypto/x/hour/btcusdt_trade.zip", **{"btcusdt.csv": "20240101 00:00,1,4,0.5,3,7\n"})
    assert read_candles(coin, "1h")[0].open_time_ms == START
    day = zipped(tmp_path / "equity/usa/daily/spy.zip", **{"spy.csv": "20240101 00:00,10000,40000,5000,30000,7\n"})
    assert (read_candles(day, "1d")[0].open_time_ms, read_candles(day, "1d")[0].high) == (START, 4)


def test_a_lean_row_that_is_none_is_refused_by_its_line(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", **{"btc.csv": "20240101 00:00,1,4,0.5,3,7\nhalf a row\n"})
    assert read(path)[1] == RowIssue(2, "not a row of a Lean file: 'half a row'")


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_parquet_and_feather_are_exact_to_fifteen_digits(tmp_path: Path, kind: str) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.feather
    import pyarrow.parquet

    columns = {name: [5.330000000000001e-05, 0.1] for name in ("open", "high", "low", "close")}
    dates = pa.array([START * 10**6, (START + 60_000) * 10**6], pa.timestamp("ns", "UTC"))
    table = pa.table({"date": dates, **columns, "volume": [431401.97869504, 3.0]})
    path = tmp_path / f"BTC_USDT-1m.{kind}"
    if kind == "parquet":
        pyarrow.parquet.write_table(table, path)
    else:
        pyarrow.feather.write_feather(table, path)
    first, second = read_candles(path)
    assert (first.open_time_ms, first.open, first.volume) == (START, Decimal("0.0000533"), Decimal("431401.97869504"))
    assert (second.open_time_ms, second.close) == (START + 60_000, Decimal("0.1"))


def test_a_cut_parquet_file_is_said_to_be_broken(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "cut.parquet"
    path.write_bytes(b"PAR1 and nothing that follows")
    with pytest.raises(BrokenFileError, match=r"^after row 0: "):
        read(path)


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("BTCUSDT-1m-2024-01.zip", ("BTCUSDT", "1m")),
        ("BTC_USDT-1h.feather", ("BTCUSDT", "1h")),
        ("EURUSD_M15.csv", ("EURUSD", "15m")),
        ("EURUSD60.csv", ("EURUSD", "1h")),
        ("XBTUSD_1440.csv", ("XBTUSD", "1d")),
        ("DAT_ASCII_EURUSD_M1_202403.csv", ("EURUSD", "1m")),
        ("acme-daily.csv", ("ACME", "1d")),
        ("BTC-Hourly.csv", ("BTC", "1h")),
        ("data.csv", (None, None)),
    ],
)
def test_symbol_and_timeframe_are_guessed_from_the_name(name: str, series: tuple[str | None, str | None]) -> None:
    assert dump.guess_series(name) == series


@pytest.mark.parametrize(
    ("names", "symbol", "timeframe", "chosen"),
    [
        (["BTCUSDT-1m-2024-01.csv", "ETHUSDT-1m-2024-01.csv"], "BTCUSDT", "1m", ["BTCUSDT-1m-2024-01.csv"]),
        (["BTCUSDT-1m.csv", "BTCUSDT-5m.csv"], "BTCUSDT", "5m", ["BTCUSDT-5m.csv"]),
        (["XBTUSD_1.csv", "XBTUSD_5.csv", "ETHUSD_5.csv"], "XBTUSD", "5m", ["XBTUSD_5.csv"]),
        (["aapl.us.txt", "msft.us.txt"], "AAPL", "1d", ["aapl.us.txt"]),
        (["AAPL.csv", "MSFT.csv"], "MSFT", "1d", ["MSFT.csv"]),
        (["2024-01.csv", "2024-02.csv"], "ANY", "1d", ["2024-01.csv", "2024-02.csv"]),
        (["whatever.csv"], "ANY", "1d", ["whatever.csv"]),
        (["daily/EURUSD_D1.csv", "EURUSD_H1.csv"], "EURUSD", "1h", ["EURUSD_H1.csv"]),
    ],
)
def test_members_of_an_archive_are_chosen_by_name(
    names: list[str], symbol: str, timeframe: str, chosen: list[str]
) -> None:
    assert dump.members(names, symbol, timeframe) == chosen


@pytest.mark.parametrize("names", [[], ["AAPL.csv", "MSFT.csv"], ["BTCUSDT-1m.csv", "ETHUSDT-1m.csv"]])
def test_members_of_other_instruments_are_refused_by_name(names: list[str]) -> None:
    with pytest.raises(BadInputError, match=", ".join(names) or "no file of candles in the archive"):
        dump.members(names, "SOLUSDT", "1m")
