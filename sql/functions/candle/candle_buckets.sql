-- Build candles of a timeframe from a finer one, for the slots of [start_ms, end_ms). A slot gives no row if a finer
-- candle is missing in it, or if a candle from a source opens later in it (the source has another grid). The finer grid
-- must divide the other.
CREATE OR REPLACE FUNCTION candle_buckets(
  venue text, symbol text, finer text, timeframe text, start_ms bigint, end_ms bigint)
RETURNS TABLE (open_time_ms bigint, open numeric, high numeric, low numeric, close numeric, volume numeric)
LANGUAGE plpgsql STABLE AS $$
DECLARE
  _finer_step bigint := timeframe_ms(candle_buckets.finer);
  _step bigint := timeframe_ms(candle_buckets.timeframe);
  _first bigint := candle_slot_ms(candle_buckets.timeframe, candle_buckets.start_ms + _step - 1);
  _end bigint := candle_slot_ms(candle_buckets.timeframe, candle_buckets.end_ms + _step - 1);
BEGIN
  RETURN QUERY
  SELECT b.slot, max(b.open) FILTER (WHERE b.open_time_ms = b.slot), max(b.high), min(b.low),
         max(b.close) FILTER (WHERE b.open_time_ms = b.slot + _step - _finer_step), trim_scale(sum(b.volume))
  FROM (
    SELECT c.*, c.open_time_ms - mod(c.open_time_ms - _first, _step) AS slot
    FROM market_candles c
    WHERE c.venue = candle_buckets.venue AND c.symbol = candle_buckets.symbol AND c.timeframe = candle_buckets.finer
      AND c.open_time_ms >= _first AND c.open_time_ms < _end AND mod(c.open_time_ms - _first, _finer_step) = 0) b
  GROUP BY b.slot
  HAVING count(*) = _step / _finer_step
    AND NOT EXISTS (
      SELECT FROM market_candles own
      WHERE own.venue = candle_buckets.venue AND own.symbol = candle_buckets.symbol
        AND own.timeframe = candle_buckets.timeframe AND own.built_from IS NULL
        AND own.open_time_ms > b.slot AND own.open_time_ms < b.slot + _step);
END;
$$;

COMMENT ON FUNCTION candle_buckets(text, text, text, text, bigint, bigint) IS 'Candles of a timeframe built from complete buckets of a finer one.';
