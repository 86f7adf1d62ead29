-- The names of all timeframes, shortest first.
CREATE OR REPLACE FUNCTION timeframes()
RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT ARRAY['1m', '3m', '5m', '15m', '30m', '1h', '2h', '4h', '6h', '8h', '12h', '1d', '3d', '1w'];
$$;

COMMENT ON FUNCTION timeframes() IS 'Names of all timeframes, shortest first.';
