-- The gaps in [start_ms, end_ms): consecutive slots in which no candle opens, also before the first and after the last
-- candle. The cost grows with the candles in the range, not with its slots. Slots are computed here from the first one:
-- to call candle_slot_ms for each gap took ten times as long.
CREATE OR REPLACE FUNCTION candle_gaps(venue text, symbol text, timeframe text, start_ms bigint, end_ms bigint)
RETURNS TABLE (from_ms bigint, to_ms bigint, missing bigint) LANGUAGE plpgsql STABLE AS $$
DECLARE
  _symbol text := candle_symbol(candle_gaps.symbol);
  _step bigint := timeframe_ms(candle_gaps.timeframe);
  _first bigint := candle_slot_ms(candle_gaps.timeframe, candle_gaps.start_ms + _step - 1);
  _end bigint := candle_slot_ms(candle_gaps.timeframe, candle_gaps.end_ms + _step - 1);
  _last bigint;
BEGIN
  SELECT max(c.open_time_ms) INTO _last
  FROM market_candles c
  WHERE c.venue = candle_gaps.venue AND c.symbol = _symbol AND c.timeframe = candle_gaps.timeframe
    AND c.open_time_ms >= _first AND c.open_time_ms < _end;

  RETURN QUERY
  SELECT g.from_ms, g.to_ms, (g.to_ms - g.from_ms) / _step
  FROM (
    SELECT r.previous - mod(r.previous - _first, _step) + _step AS from_ms,
           r.open_time_ms - mod(r.open_time_ms - _first, _step) AS to_ms
    FROM (
      SELECT c.open_time_ms, lag(c.open_time_ms, 1, _first - _step) OVER (ORDER BY c.open_time_ms) AS previous
      FROM market_candles c
      WHERE c.venue = candle_gaps.venue AND c.symbol = _symbol AND c.timeframe = candle_gaps.timeframe
        AND c.open_time_ms >= _first AND c.open_time_ms < _end) r
    WHERE r.open_time_ms - r.previous > _step
    UNION ALL
    SELECT coalesce(_last - mod(_last - _first, _step) + _step, _first), _end) g
  WHERE g.to_ms > g.from_ms
  ORDER BY g.from_ms;
END;
$$;

COMMENT ON FUNCTION candle_gaps(text, text, text, bigint, bigint) IS 'Gaps of a venue, symbol and timeframe in [start_ms, end_ms): first missing slot, first slot after it, how many are missing.';
