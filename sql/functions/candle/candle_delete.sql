-- Delete a series and all candles built from it. Its coverage is deleted too, so that it can be fetched again. With the
-- last series of a symbol its spelling is deleted.
CREATE OR REPLACE FUNCTION candle_delete(venue text, symbol text, timeframe text)
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  _symbol text := candle_symbol(candle_delete.symbol);
  _first bigint;
  _last bigint;
  _deleted bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(
    sim_lock_key('candles', candle_delete.venue, _symbol, candle_delete.timeframe));
  PERFORM candle_changed(candle_delete.venue, _symbol, candle_delete.timeframe, -4611686018427387904);

  DELETE FROM market_coverage m
  WHERE m.venue = candle_delete.venue AND m.symbol = _symbol AND m.timeframe = candle_delete.timeframe;

  WITH deleted AS (
    DELETE FROM market_candles c
    WHERE c.venue = candle_delete.venue AND c.symbol = _symbol AND c.timeframe = candle_delete.timeframe
    RETURNING c.open_time_ms)
  SELECT count(*), min(d.open_time_ms), max(d.open_time_ms) INTO _deleted, _first, _last FROM deleted d;

  IF _deleted > 0 THEN
    PERFORM candle_rebuild(candle_delete.venue, _symbol, candle_delete.timeframe, _first, _last);
  END IF;

  DELETE FROM market_symbols k
  WHERE k.venue = candle_delete.venue AND k.symbol = _symbol
    AND NOT EXISTS (SELECT FROM market_candles c WHERE c.venue = k.venue AND c.symbol = k.symbol)
    AND NOT EXISTS (SELECT FROM market_coverage m WHERE m.venue = k.venue AND m.symbol = k.symbol);
  RETURN _deleted;
END;
$$;

COMMENT ON FUNCTION candle_delete(text, text, text) IS 'Delete a series, the candles built from it, and its coverage; returns how many candles the series had.';
