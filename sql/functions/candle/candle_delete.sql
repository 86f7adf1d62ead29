-- A series goes with all that was built from it, or what it said would be told on by its longer candles. Who was asked
-- for it is forgotten, so that it can be fetched again.
CREATE OR REPLACE FUNCTION candle_delete(venue text, symbol text, timeframe text)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  _first bigint;
  _last bigint;
  _gone bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended(
    concat_ws(':', 'candles', candle_delete.venue, candle_delete.symbol, candle_delete.timeframe), 0));

  DELETE FROM market_coverage m
  WHERE m.venue = candle_delete.venue AND m.symbol = candle_delete.symbol AND m.timeframe = candle_delete.timeframe;

  WITH gone AS (
    DELETE FROM market_candles c
    WHERE c.venue = candle_delete.venue AND c.symbol = candle_delete.symbol AND c.timeframe = candle_delete.timeframe
    RETURNING c.open_time_ms)
  SELECT count(*), min(g.open_time_ms), max(g.open_time_ms) INTO _gone, _first, _last FROM gone g;

  IF _gone > 0 THEN
    PERFORM candle_rebuild(candle_delete.venue, candle_delete.symbol, candle_delete.timeframe, _first, _last);
  END IF;
  RETURN _gone;
END;
$$;

COMMENT ON FUNCTION candle_delete(text, text, text) IS 'Delete a series, what was built from it, and who was asked for it; answers how many candles of its own it had.';
