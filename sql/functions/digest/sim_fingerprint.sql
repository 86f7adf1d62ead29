-- The fingerprint of the candles in a log up to a seq; candle_fingerprint computes the same for the cache.
CREATE OR REPLACE FUNCTION sim_fingerprint(session uuid, to_seq bigint)
RETURNS numeric
LANGUAGE sql STABLE AS $$
  SELECT coalesce(sum(('x' || encode(substr(sha256(convert_to(concat_ws(' ', e.payload ->> 'symbol', c ->> 'openTimeMs',
           c ->> 'open', c ->> 'high', c ->> 'low', c ->> 'close', c ->> 'volume'
         ), 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint), 0)
  FROM sim_sessions s
  JOIN sim_events e ON e.session_id = s.id AND e.seq <= sim_fingerprint.to_seq AND e.type = 'candle'
    AND e.payload ->> 'timeframe' = s.timeframe AND NOT e.payload ? 'synthetic'
  CROSS JOIN LATERAL (SELECT e.payload -> 'candle' AS c) one
  WHERE s.id = sim_fingerprint.session;
$$;

COMMENT ON FUNCTION sim_fingerprint(uuid, bigint) IS 'Fingerprint of the real base candles in a log up to a seq.';
