import pytest

from app.domain.symbol import symbol, venue
from app.errors import BadInput


@pytest.mark.parametrize("text", ["BTCUSDT", "BTC/USDT", "btc-usdt", "btc_usdt", " BtcUsdt "])
def test_spellings_of_a_symbol_are_one(text: str) -> None:
    assert symbol(text) == "BTCUSDT"


@pytest.mark.parametrize("text", ["", "/", "BTC USDT", "BTC:USDT", "A" * 41, "ÄPFEL", "BTC\0USDT"])
def test_what_is_no_symbol_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadInput, match=r"^symbol:"):
        symbol(text)


def test_a_venue_is_lower_case() -> None:
    assert venue("Binance-USDM") == "binance-usdm"
    with pytest.raises(BadInput, match=r"^venue:"):
        venue("no venue")
