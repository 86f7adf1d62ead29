DROP TABLE market_coverage;
DROP TABLE market_candles;
