-- A time in ms since the epoch, as `ts` counts: ts >= sim_ms('2024-01-01 10:00+00') reads the index on ts.
CREATE OR REPLACE FUNCTION sim_ms(at timestamptz)
RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT floor(extract(epoch FROM sim_ms.at) * 1000)::bigint;
$$;

COMMENT ON FUNCTION sim_ms(timestamptz) IS 'A time in ms since the epoch, as ts counts.';
