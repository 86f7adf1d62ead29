DROP TABLE market_fetches;
DROP TABLE market_kept;
