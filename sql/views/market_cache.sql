-- The candle cache, one row per series: number of candles, first and last open time, gaps and sources.
CREATE OR REPLACE VIEW market_cache AS
SELECT
  k.venue,
  k.symbol,
  k.timeframe,
  c.rows,
  c.first_ms,
  c.last_ms,
  to_timestamp(c.first_ms / 1000.0) AS first_at,
  to_timestamp(c.last_ms / 1000.0) AS last_at,
  c.gaps,
  c.missing,
  s.source,
  coalesce(w.spelling, k.symbol) AS spelling
FROM candle_series() k
CROSS JOIN LATERAL candle_coverage(k.venue, k.symbol, k.timeframe) c
CROSS JOIN LATERAL (
  SELECT string_agg(DISTINCT m.source, ',' ORDER BY m.source) AS source
  FROM market_coverage m
  WHERE m.venue = k.venue AND m.symbol = k.symbol AND m.timeframe = k.timeframe) s
LEFT JOIN market_symbols w ON w.venue = k.venue AND w.symbol = k.symbol;

COMMENT ON VIEW market_cache IS 'Rows, first and last open time, gaps, missing candles, sources and spelling of each series.';
