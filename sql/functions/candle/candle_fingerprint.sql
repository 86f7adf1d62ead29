-- The fingerprint of cached candles: the sum of the first 8 bytes of each candle's SHA-256, not reduced modulo 2^64. A
-- session's own fingerprint equals it as long as the cache holds the candles that the session used.
CREATE OR REPLACE FUNCTION candle_fingerprint(
  venue text, symbols text[], timeframe text, start_ms bigint, last_ms bigint)
RETURNS numeric
LANGUAGE sql STABLE AS $$
  SELECT coalesce(sum(('x' || encode(substr(sha256(convert_to(concat_ws(' ', c.symbol, c.open_time_ms,
           trim_scale(c.open), trim_scale(c.high), trim_scale(c.low), trim_scale(c.close), trim_scale(c.volume)),
           'UTF8')), 1, 8), 'hex'))::bit(64)::bigint), 0)
  FROM market_candles c
  WHERE c.venue = candle_fingerprint.venue AND c.symbol = ANY (candle_fingerprint.symbols)
    AND c.timeframe = candle_fingerprint.timeframe
    AND c.open_time_ms BETWEEN candle_fingerprint.start_ms AND candle_fingerprint.last_ms;
$$;

COMMENT ON FUNCTION candle_fingerprint(text, text[], text, bigint, bigint) IS 'Fingerprint of the cached candles of a range, last_ms included.';
