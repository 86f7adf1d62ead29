DROP TABLE market_symbols;
COMMENT ON COLUMN market_candles.symbol IS 'Upper-case symbol without separators, such as BTCUSDT.';
