-- The return of buying and holding, as a fraction: last close / first open - 1, without costs, the mean over the
-- symbols. The candles are those of the log up to until_seq or, if the log has none, those of the cache that open before
-- until_ts.
CREATE OR REPLACE FUNCTION sim_buy_and_hold(session uuid, until_seq bigint, until_ts bigint)
RETURNS numeric
LANGUAGE sql STABLE
SET enable_sort = off
SET enable_bitmapscan = off AS $$
  SELECT avg((c.close - c.open) / nullif(c.open, 0))
  FROM sim_sessions s
  CROSS JOIN LATERAL unnest(s.symbols) AS m (symbol)
  CROSS JOIN LATERAL (
    SELECT (SELECT (e.payload #> '{candle,open}')::numeric FROM sim_events e
            WHERE e.session_id = s.id AND e.type = 'candle' AND e.payload ->> 'symbol' = m.symbol
              AND e.payload ->> 'timeframe' = s.timeframe AND e.seq <= sim_buy_and_hold.until_seq
            ORDER BY e.seq LIMIT 1) AS open,
           (SELECT (e.payload #> '{candle,close}')::numeric FROM sim_events e
            WHERE e.session_id = s.id AND e.type = 'candle' AND e.payload ->> 'symbol' = m.symbol
              AND e.payload ->> 'timeframe' = s.timeframe AND e.seq <= sim_buy_and_hold.until_seq
            ORDER BY e.seq DESC LIMIT 1) AS close
    WHERE s.record = 'full'
    UNION ALL
    SELECT (SELECT k.open FROM market_candles k
            WHERE (k.venue, k.symbol, k.timeframe) = (s.venue, m.symbol, s.timeframe)
              AND k.open_time_ms >= s.start_ms AND k.open_time_ms < sim_buy_and_hold.until_ts
            ORDER BY k.open_time_ms LIMIT 1),
           (SELECT k.close FROM market_candles k
            WHERE (k.venue, k.symbol, k.timeframe) = (s.venue, m.symbol, s.timeframe)
              AND k.open_time_ms >= s.start_ms AND k.open_time_ms < sim_buy_and_hold.until_ts
            ORDER BY k.open_time_ms DESC LIMIT 1)
    WHERE s.record = 'trades') c
  WHERE s.id = sim_buy_and_hold.session;
$$;

COMMENT ON FUNCTION sim_buy_and_hold(uuid, bigint, bigint) IS 'Return of buying all symbols at the first open and holding to the last close, as a fraction.';
