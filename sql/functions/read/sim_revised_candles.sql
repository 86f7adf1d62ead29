-- The first real base candles up to the cursor that differ between a full log and the cache, with `late` also candles
-- that were stored after the session had passed their time. `total` counts all of them.
CREATE OR REPLACE FUNCTION sim_revised_candles(session uuid, max_rows integer, late boolean)
RETURNS TABLE (symbol text, open_time_ms bigint, logged text, cached text, total bigint)
LANGUAGE sql STABLE AS $$
  WITH log AS (
    SELECT
      e.payload ->> 'symbol' AS symbol,
      (c ->> 'openTimeMs')::bigint AS open_time_ms,
      concat_ws(' ', c ->> 'open', c ->> 'high', c ->> 'low', c ->> 'close', c ->> 'volume') AS logged
    FROM sim_sessions s
    JOIN sim_events e ON e.session_id = s.id AND e.seq <= s.last_seq AND e.type = 'candle'
      AND e.payload ->> 'timeframe' = s.timeframe AND NOT e.payload ? 'synthetic'
    CROSS JOIN LATERAL (SELECT e.payload -> 'candle' AS c) one
    WHERE s.id = sim_revised_candles.session
  ), cache AS (
    SELECT
      k.symbol,
      k.open_time_ms,
      concat_ws(' ', trim_scale(k.open), trim_scale(k.high), trim_scale(k.low), trim_scale(k.close),
                trim_scale(k.volume)) AS cached
    FROM sim_sessions s
    JOIN market_candles k ON k.venue = s.venue AND k.symbol = ANY (s.symbols) AND k.timeframe = s.timeframe
      AND k.open_time_ms BETWEEN s.start_ms AND s.cursor_ms
    WHERE s.id = sim_revised_candles.session
  )
  SELECT symbol, open_time_ms, l.logged, k.cached, count(*) OVER ()
  FROM log l
  FULL JOIN cache k USING (symbol, open_time_ms)
  WHERE l.logged IS DISTINCT FROM k.cached AND (sim_revised_candles.late OR l.logged IS NOT NULL)
  ORDER BY open_time_ms, symbol
  LIMIT sim_revised_candles.max_rows;
$$;

COMMENT ON FUNCTION sim_revised_candles(uuid, integer, boolean) IS 'First candles that differ between a log and the cache, and how many there are.';
