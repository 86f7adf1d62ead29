-- Candles that were built from finer ones are told apart, so that they follow them.
-- depends: 0003-time

ALTER TABLE market_candles ADD COLUMN built_from text;

COMMENT ON COLUMN market_candles.built_from IS 'Finer timeframe the candle was built from, and is built from again when that changes; null = it came from a source.';
