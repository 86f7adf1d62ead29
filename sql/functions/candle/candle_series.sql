-- Every cached series. One look into the index for each, instead of reading all candles.
CREATE OR REPLACE FUNCTION candle_series()
RETURNS TABLE (venue text, symbol text, timeframe text)
LANGUAGE sql STABLE AS $$
  WITH RECURSIVE series AS (
    (SELECT c.venue, c.symbol, c.timeframe FROM market_candles c ORDER BY c.venue, c.symbol, c.timeframe LIMIT 1)
    UNION ALL
    SELECT n.venue, n.symbol, n.timeframe
    FROM series s
    CROSS JOIN LATERAL (
      SELECT c.venue, c.symbol, c.timeframe
      FROM market_candles c
      WHERE (c.venue, c.symbol, c.timeframe) > (s.venue, s.symbol, s.timeframe)
      ORDER BY c.venue, c.symbol, c.timeframe
      LIMIT 1) n)
  SELECT s.venue, s.symbol, s.timeframe FROM series s;
$$;

COMMENT ON FUNCTION candle_series() IS 'Venue, symbol and timeframe of every cached series.';
