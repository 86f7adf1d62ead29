-- Rebuild the longer candles that were built from a finer timeframe, after finer candles in [first_ms, last_ms] were
-- added, changed or deleted: in this range, and in the slots right after the candles built so far. Candles from a
-- source stay as they are.
CREATE OR REPLACE FUNCTION candle_rebuild(venue text, symbol text, finer text, first_ms bigint, last_ms bigint)
RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
  _longer text;
  _step bigint;
  _from bigint;
  _to bigint;
  _changed bigint;
BEGIN
  PERFORM candle_changed(candle_rebuild.venue, candle_rebuild.symbol, candle_rebuild.finer, candle_rebuild.first_ms);
  FOREACH _longer IN ARRAY timeframes() LOOP
    _step := timeframe_ms(_longer);
    _from := candle_slot_ms(_longer, candle_rebuild.first_ms);
    _to := candle_slot_ms(_longer, candle_rebuild.last_ms) + _step;
    CONTINUE WHEN NOT EXISTS (
      SELECT FROM market_candles c
      WHERE c.venue = candle_rebuild.venue AND c.symbol = candle_rebuild.symbol AND c.timeframe = _longer
        AND c.open_time_ms >= _from - _step AND c.open_time_ms < _to AND c.built_from = candle_rebuild.finer);

    WITH complete AS MATERIALIZED (
      SELECT * FROM candle_buckets(candle_rebuild.venue, candle_rebuild.symbol, candle_rebuild.finer, _longer, _from, _to)),
    deleted AS (
      DELETE FROM market_candles c
      WHERE c.venue = candle_rebuild.venue AND c.symbol = candle_rebuild.symbol AND c.timeframe = _longer
        AND c.open_time_ms >= _from AND c.open_time_ms < _to AND c.built_from = candle_rebuild.finer
        AND NOT EXISTS (SELECT FROM complete w WHERE w.open_time_ms = c.open_time_ms)
      RETURNING 1),
    built AS (
      INSERT INTO market_candles AS c (venue, symbol, timeframe, open_time_ms, open, high, low, close, volume, built_from)
      SELECT candle_rebuild.venue, candle_rebuild.symbol, _longer, w.*, candle_rebuild.finer FROM complete w
      ON CONFLICT ON CONSTRAINT market_candles_pkey DO UPDATE
      SET open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume
      WHERE c.built_from = candle_rebuild.finer
        AND (c.open, c.high, c.low, c.close, c.volume)
            IS DISTINCT FROM (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume)
      RETURNING 1)
    SELECT (SELECT count(*) FROM deleted) + (SELECT count(*) FROM built) INTO _changed;
    CONTINUE WHEN _changed = 0;

    RETURN NEXT _longer;
    RETURN QUERY SELECT candle_rebuild(candle_rebuild.venue, candle_rebuild.symbol, _longer, _from, _to - 1);
  END LOOP;
END;
$$;

COMMENT ON FUNCTION candle_rebuild(text, text, text, bigint, bigint) IS 'Rebuild the longer candles that were built from a finer timeframe; returns the timeframes that changed.';
