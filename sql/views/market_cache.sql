-- The candle cache, one row per series: number of candles, first and last open time, gaps and sources.
CREATE OR REPLACE VIEW market_cache AS
SELECT
  k.venue,
  k.symbol,
  k.timeframe,
  k.rows,
  k.first_ms,
  k.last_ms,
  to_timestamp(k.first_ms / 1000.0) AS first_at,
  to_timestamp(k.last_ms / 1000.0) AS last_at,
  g.gaps,
  g.missing,
  s.source,
  coalesce(w.spelling, k.symbol) AS spelling
FROM (
  SELECT c.venue, c.symbol, c.timeframe, count(*) AS rows, min(c.open_time_ms) AS first_ms, max(c.open_time_ms) AS last_ms
  FROM market_candles c
  GROUP BY c.venue, c.symbol, c.timeframe) k
CROSS JOIN LATERAL (SELECT timeframe_ms(k.timeframe) AS ms OFFSET 0) step
CROSS JOIN LATERAL (
  SELECT count(*) AS gaps, coalesce(sum(c.missing), 0)::bigint AS missing
  FROM candle_gaps(k.venue, k.symbol, k.timeframe, k.first_ms, k.last_ms) c
  -- A candle in each slot of the grid: there is no gap to look for.
  WHERE k.rows <> (k.last_ms - k.first_ms) / step.ms + 1 OR EXISTS (
    SELECT FROM market_candles o
    WHERE o.venue = k.venue AND o.symbol = k.symbol AND o.timeframe = k.timeframe
      AND mod(o.open_time_ms - k.first_ms, step.ms) <> 0)) g
CROSS JOIN LATERAL (
  SELECT string_agg(DISTINCT m.source, ',' ORDER BY m.source) AS source
  FROM market_coverage m
  WHERE m.venue = k.venue AND m.symbol = k.symbol AND m.timeframe = k.timeframe) s
LEFT JOIN market_symbols w ON w.venue = k.venue AND w.symbol = k.symbol;

COMMENT ON VIEW market_cache IS 'Rows, first and last open time, gaps, missing candles, sources and spelling of each series.';
