ALTER TABLE market_candles DROP COLUMN built_from;
