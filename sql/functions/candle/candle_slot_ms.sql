-- The slot of a time: the last grid time at or before it. Weeks open on Monday, all other grids start at 1970-01-01.
CREATE OR REPLACE FUNCTION candle_slot_ms(timeframe text, time_ms bigint)
RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  _step bigint := timeframe_ms(candle_slot_ms.timeframe);
  _offset bigint := CASE candle_slot_ms.timeframe WHEN '1w' THEN 345600000 ELSE 0 END;
  _past bigint := mod(candle_slot_ms.time_ms - _offset, _step);
BEGIN
  -- mod() has the sign of its first argument: a time before the start of the grid needs one more step.
  RETURN candle_slot_ms.time_ms - _past - CASE WHEN _past < 0 THEN _step ELSE 0 END;
END;
$$;

COMMENT ON FUNCTION candle_slot_ms(text, bigint) IS 'Open time of the UTC grid slot in which a time lies, in ms.';
