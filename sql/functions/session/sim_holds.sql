-- Whether an equity event's payload shows a position, with one symbol or with several.
CREATE OR REPLACE FUNCTION sim_holds(equity jsonb)
RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(equity -> 'positionQty' <> '0', jsonb_path_exists(equity, '$.positions.*.qty ? (@ != 0)'));
$$;

COMMENT ON FUNCTION sim_holds(jsonb) IS 'Whether an equity event shows an open position.';
