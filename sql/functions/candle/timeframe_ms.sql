-- The one place in SQL that knows how long a candle is; null for any other word.
CREATE OR REPLACE FUNCTION timeframe_ms(timeframe text)
RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE timeframe_ms.timeframe
    WHEN '1m' THEN 60000 WHEN '3m' THEN 180000 WHEN '5m' THEN 300000 WHEN '15m' THEN 900000
    WHEN '30m' THEN 1800000 WHEN '1h' THEN 3600000 WHEN '2h' THEN 7200000 WHEN '4h' THEN 14400000
    WHEN '6h' THEN 21600000 WHEN '8h' THEN 28800000 WHEN '12h' THEN 43200000 WHEN '1d' THEN 86400000
    WHEN '3d' THEN 259200000 WHEN '1w' THEN 604800000
  END::bigint;
$$;

COMMENT ON FUNCTION timeframe_ms(text) IS 'Length of a timeframe in ms.';
