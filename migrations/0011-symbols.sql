-- How a symbol was written when its first candles were stored: for people, and so that no two symbols become one.
-- depends: 0010-rare

CREATE TABLE market_symbols (
    venue text NOT NULL,
    symbol text NOT NULL,
    spelling text NOT NULL,
    separated text,
    PRIMARY KEY (venue, symbol)
);

COMMENT ON TABLE market_symbols IS 'How symbols were written when candles of them were stored; one without a row is shown in its stored form.';
COMMENT ON COLUMN market_symbols.venue IS 'Venue of the candles.';
COMMENT ON COLUMN market_symbols.symbol IS 'Stored form: NFKC, upper case, without / - _, such as BTCUSDT.';
COMMENT ON COLUMN market_symbols.spelling IS 'As it was first written, such as BTC/USDT; what people are shown.';
COMMENT ON COLUMN market_symbols.separated IS 'First spelling with separators, which an import may not place differently; null = none yet.';
COMMENT ON COLUMN market_candles.symbol IS 'Stored form of the symbol: NFKC, upper case, without / - _, such as BTCUSDT.';
