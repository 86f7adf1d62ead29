-- Call this in the transaction that changes candles of a series: what is kept of it is forgotten if it reaches first_ms.
-- Until the commit nothing new is kept, since candle_keep cannot get the lock.
CREATE OR REPLACE FUNCTION candle_changed(venue text, symbol text, timeframe text, first_ms bigint)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(
    sim_lock_key('kept candles', candle_changed.venue, candle_changed.symbol, candle_changed.timeframe));
  DELETE FROM market_kept k
  WHERE k.venue = candle_changed.venue AND k.symbol = candle_changed.symbol AND k.timeframe = candle_changed.timeframe
    AND k.last_ms >= candle_changed.first_ms;
END;
$$;

COMMENT ON FUNCTION candle_changed(text, text, text, bigint) IS 'Forget what is kept of a series if it reaches first_ms; called in the transaction that changes its candles.';
