-- The candles in the logs of sessions, those of extra timeframes too: filter by session_id, and by timeframe.
CREATE OR REPLACE VIEW sim_view_candles AS
SELECT
  e.session_id,
  e.seq,
  e.ts,
  to_timestamp(e.ts / 1000.0) AS at,
  e.payload ->> 'symbol' AS symbol,
  e.payload ->> 'timeframe' AS timeframe,
  (e.payload #>> '{candle,openTimeMs}')::bigint AS open_time_ms,
  (e.payload #>> '{candle,open}')::numeric AS open,
  (e.payload #>> '{candle,high}')::numeric AS high,
  (e.payload #>> '{candle,low}')::numeric AS low,
  (e.payload #>> '{candle,close}')::numeric AS close,
  (e.payload #>> '{candle,volume}')::numeric AS volume
FROM sim_events e
WHERE e.type = 'candle';

COMMENT ON VIEW sim_view_candles IS 'Candle events with their times; filter by session_id.';
