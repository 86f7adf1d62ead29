-- The payloads of the candles at or after a time, in seq order. ts never decreases with seq, so the first seq is looked
-- up, and the log is read from there.
CREATE OR REPLACE FUNCTION sim_candles_since(session uuid, ts bigint)
RETURNS TABLE (seq bigint, payload jsonb)
LANGUAGE sql STABLE
SET enable_sort = off AS $$
  SELECT e.seq, e.payload
  FROM sim_events e
  WHERE e.session_id = sim_candles_since.session
    AND e.seq >= sim_seq_at(sim_candles_since.session, sim_candles_since.ts)
    AND e.type = 'candle'
  ORDER BY e.seq;
$$;

COMMENT ON FUNCTION sim_candles_since(uuid, bigint) IS 'Payloads of the candles in a log at or after a time, in seq order.';
