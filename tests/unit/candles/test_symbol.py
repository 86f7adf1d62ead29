import pytest

from app.domain.market.symbol import normalize_symbol, normalize_venue
from app.errors import BadInputError


@pytest.mark.parametrize("text", ["BTCUSDT", "BTC/USDT", "btc-usdt", "btc_usdt", " BtcUsdt "])
def test_spellings_of_a_symbol_are_one(text: str) -> None:
    assert normalize_symbol(text) == "BTCUSDT"


@pytest.mark.parametrize("text", ["", "/", "BTC USDT", "BTC:USDT", "A" * 41, "ÄPFEL", "BTC\0USDT"])
def test_what_is_no_symbol_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadInputError, match=r"^symbol:"):
        normalize_symbol(text)


def test_a_venue_is_lower_case() -> None:
    assert normalize_venue("Binance-USDM") == "binance-usdm"
    with pytest.raises(BadInputError, match=r"^venue:"):
        normalize_venue("no venue")
