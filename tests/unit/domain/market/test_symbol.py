import pytest

from app.domain.market.symbol import display_form, normalize_symbol, normalize_venue, separator_positions
from app.errors import BadInputError


@pytest.mark.parametrize(
    "text",
    ["BTCUSDT", "BTC/USDT", "btc-usdt", "btc_usdt", " BtcUsdt ", "ＢＴＣ／ＵＳＤＴ", "-BTC//USDT_"],
)
def test_spellings_of_a_symbol_are_one(text: str) -> None:
    assert normalize_symbol(text) == "BTCUSDT"


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("BTC/USDT:USDT", "BTCUSDT:USDT"),
        ("^gspc", "^GSPC"),
        ("EURUSD=x", "EURUSD=X"),
        ("brk.b", "BRK.B"),
        ("m&m", "M&M"),
        ("C+", "C+"),
        ("贵州茅台", "贵州茅台"),
        ("сбер", "СБЕР"),
        ("straße", "STRASSE"),
        ("ﬁﬁ", "FIFI"),
        ("é", "É"),
    ],
)
def test_symbols_are_stored_as_the_world_writes_them(text: str, stored: str) -> None:
    assert normalize_symbol(text) == stored


@pytest.mark.parametrize(
    "text",
    [
        *("", "/", "A" * 41, "贵" * 41, "A" + "/" * 120),
        *("BTC USDT", "BTC,USDT", "BTC\0USDT", "BTC\nUSDT", "BTC'", 'BTC"', "BTC\\", "BTC%", "BTC;", "BTC*", "{BTC}"),
        *(
            "BTC\u00a0USDT",
            "BTC\u200bUSDT",
            "BTC\u202eUSDT",
            "BTC\u00adUSDT",
            "BTC\u2019",
            "BTC\u02bc",
            "\u3164",
            "\ufeffBTC",
        ),
        *("BTC\u2028USDT", "BTC\ud800", "e\u0301\u0302", "🚀"),
    ],
)
def test_what_is_no_symbol_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadInputError, match=r"^symbol:"):
        normalize_symbol(text)


def test_a_refusal_names_the_character_in_a_form_that_can_be_seen() -> None:
    with pytest.raises(BadInputError) as refused:
        normalize_symbol("BTC\u202eUSDT")
    assert refused.value.message == (
        r"symbol: 'BTC\u202eUSDT' has '\u202e'; only letters, digits and . ^ = : & + / - _ are allowed"
    )


def test_the_stored_form_of_every_character_is_its_own() -> None:
    for code in range(0x30000):
        try:
            stored = normalize_symbol(f"A{chr(code)}B")
        except BadInputError:
            continue
        assert normalize_symbol(stored) == stored
        assert not any(char.isspace() or not char.isprintable() or char in ",\"'/-_\\" for char in stored)


def test_a_spelling_is_kept_as_it_was_written() -> None:
    assert [display_form(text) for text in (" btc/usdt ", "BTC-USDT", "Ｂ")] == ["btc/usdt", "BTC-USDT", "B"]
    with pytest.raises(BadInputError):
        display_form("BTC USDT")


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("BTCUSDT", ()),
        ("BTC/USDT", (3,)),
        ("btc-usdt", (3,)),
        ("BTC/USDT:USDT", (3,)),
        ("BTC-USDT-SWAP", (3, 7)),
        ("-BTC__USDT-", (3,)),
        ("straße/eur", (7,)),
        ("/", ()),
    ],
)
def test_separators_are_placed_by_the_stored_form(text: str, places: tuple[int, ...]) -> None:
    assert separator_positions(text) == places


def test_a_venue_is_lower_case() -> None:
    assert normalize_venue("Binance-USDM") == "binance-usdm"
    with pytest.raises(BadInputError, match=r"^venue:"):
        normalize_venue("no venue")
