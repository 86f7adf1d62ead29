-- The last candle of each symbol in a log, of one timeframe; with `real_only` the last that is not synthetic. Symbols
-- without a candle have no row.
CREATE OR REPLACE FUNCTION sim_last_candles(
  session uuid, symbols text[], timeframe text, real_only boolean DEFAULT false)
RETURNS TABLE (symbol text, open_time_ms bigint, close numeric)
LANGUAGE sql STABLE
SET enable_sort = off AS $$
  SELECT m.symbol, (c.candle ->> 'openTimeMs')::bigint, (c.candle ->> 'close')::numeric
  FROM unnest(sim_last_candles.symbols) AS m (symbol)
  CROSS JOIN LATERAL (
    SELECT e.payload -> 'candle' AS candle
    FROM sim_events e
    WHERE e.session_id = sim_last_candles.session
      AND e.type = 'candle'
      AND e.payload ->> 'symbol' = m.symbol
      AND e.payload ->> 'timeframe' = sim_last_candles.timeframe
      AND NOT (sim_last_candles.real_only AND e.payload ? 'synthetic')
    ORDER BY e.seq DESC
    LIMIT 1
  ) c;
$$;

COMMENT ON FUNCTION sim_last_candles(uuid, text[], text, boolean) IS 'Open time and close of the last candle of each symbol in a log.';
