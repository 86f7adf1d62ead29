import pytest
import typer

from app.cli.options import read_id, read_symbol, read_timeframe, read_venue, time_ms, without_none


@pytest.mark.parametrize(
    "text",
    ["1704067200000", "2024-01-01", "2024-01-01T00:00Z", "2024-01-01 00:00:00", "2024-01-01T03:00:00+03:00"],
)
def test_a_time_is_ms_or_iso_8601_in_utc(text):
    assert time_ms(text) == 1_704_067_200_000


@pytest.mark.parametrize("text", ["", "now", "-1", "2024-13-01", "1e12", "9" * 30])
def test_what_is_no_time_is_a_usage_error(text):
    with pytest.raises(typer.BadParameter, match="neither ms since the epoch nor an ISO 8601 time"):
        time_ms(text)


def test_words_of_the_domain_are_read_in_any_spelling():
    assert (read_symbol("btc-usdt"), read_venue("Binance"), read_timeframe("15m")) == ("BTCUSDT", "binance", "15m")


@pytest.mark.parametrize(("read", "text"), [(read_symbol, "?"), (read_venue, "a b"), (read_timeframe, "7m")])
def test_what_the_domain_refuses_is_a_usage_error(read, text):
    with pytest.raises(typer.BadParameter):
        read(text)


@pytest.mark.parametrize("text", ["0193A1F2-7b7e", "0193a1f27b7e", "0193a1f27b7-e"])
def test_an_id_is_read_without_hyphens_and_may_be_short(text):
    assert read_id(text) == "0193a1f27b7e"


@pytest.mark.parametrize("text", ["", "1", "123", "0193g", "0" * 33, "%%%%"])
def test_what_is_no_id_is_a_usage_error(text):
    with pytest.raises(typer.BadParameter, match="neither an id nor"):
        read_id(text)


def test_what_was_not_given_is_left_out():
    assert without_none(a=None, b=0, c=False, d="") == {"b": 0, "c": False, "d": ""}
