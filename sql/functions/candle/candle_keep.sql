-- Keep what is known of a series: candle_coverage then counts only later candles. Nothing is kept, and false returned,
-- while a transaction changes the series: its candles cannot be seen yet.
CREATE OR REPLACE FUNCTION candle_keep(venue text, symbol text, timeframe text)
RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
  IF NOT pg_try_advisory_xact_lock(
    sim_lock_key('kept candles', candle_keep.venue, candle_keep.symbol, candle_keep.timeframe)) THEN
    RETURN false;
  END IF;
  INSERT INTO market_kept AS k (venue, symbol, timeframe, rows, first_ms, last_ms, gaps, missing)
  SELECT candle_keep.venue, candle_keep.symbol, candle_keep.timeframe, c.rows, c.first_ms, c.last_ms, c.gaps, c.missing
  FROM candle_coverage(candle_keep.venue, candle_keep.symbol, candle_keep.timeframe) c
  ON CONFLICT ON CONSTRAINT market_kept_pkey DO UPDATE
  SET rows = excluded.rows, first_ms = excluded.first_ms, last_ms = excluded.last_ms,
      gaps = excluded.gaps, missing = excluded.missing;
  RETURN true;
END;
$$;

COMMENT ON FUNCTION candle_keep(text, text, text) IS 'Keep the number of candles and gaps of a series, so that only later ones are counted; false while somebody changes it.';
