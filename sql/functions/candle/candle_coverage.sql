-- How many candles a series has, its first and last open time, and the gaps between them; no row if it has none. What
-- candle_keep has kept is not counted again, unless the series begins elsewhere now or has lost the last kept candle. A
-- gap never crosses that candle, so both parts can be added.
CREATE OR REPLACE FUNCTION candle_coverage(venue text, symbol text, timeframe text)
RETURNS TABLE (rows bigint, first_ms bigint, last_ms bigint, gaps bigint, missing bigint)
LANGUAGE plpgsql STABLE AS $$
DECLARE
  _step bigint := timeframe_ms(candle_coverage.timeframe);
  _kept market_kept;
  _from bigint;
  _later bigint;
  _aside bigint;
  _gaps bigint := 0;
  _missing bigint := 0;
BEGIN
  SELECT min(c.open_time_ms), max(c.open_time_ms) INTO first_ms, last_ms
  FROM market_candles c
  WHERE c.venue = candle_coverage.venue AND c.symbol = candle_coverage.symbol
    AND c.timeframe = candle_coverage.timeframe;
  IF first_ms IS NULL THEN
    RETURN;
  END IF;
  SELECT k.* INTO _kept
  FROM market_kept k
  JOIN market_candles c USING (venue, symbol, timeframe)
  WHERE k.venue = candle_coverage.venue AND k.symbol = candle_coverage.symbol AND k.timeframe = candle_coverage.timeframe
    AND k.first_ms = candle_coverage.first_ms AND c.open_time_ms = k.last_ms;

  _from := coalesce(_kept.last_ms, first_ms);
  SELECT count(*), count(*) FILTER (WHERE mod(c.open_time_ms - _from, _step) <> 0) INTO _later, _aside
  FROM market_candles c
  WHERE c.venue = candle_coverage.venue AND c.symbol = candle_coverage.symbol
    AND c.timeframe = candle_coverage.timeframe AND c.open_time_ms >= _from;
  IF _aside > 0 OR _later <> (last_ms - _from) / _step + 1 THEN  -- Else there is a candle in each slot of the grid.
    SELECT count(*), coalesce(sum(g.missing), 0) INTO _gaps, _missing
    FROM candle_gaps(candle_coverage.venue, candle_coverage.symbol, candle_coverage.timeframe, _from, last_ms) g;
  END IF;

  rows := _later + coalesce(_kept.rows - 1, 0);
  gaps := _gaps + coalesce(_kept.gaps, 0);
  missing := _missing + coalesce(_kept.missing, 0);
  RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION candle_coverage(text, text, text) IS 'Number of candles of a series, its first and last open time, its gaps and missing candles; no row without candles.';
