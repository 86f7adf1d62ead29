-- Whether the payload of an equity event shows an open position, with one symbol or with several.
CREATE OR REPLACE FUNCTION sim_stats_has_position(equity jsonb)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(equity -> 'positionQty' <> '0', jsonb_path_exists(equity, '$.positions.*.qty ? (@ != 0)'));
$$;

COMMENT ON FUNCTION sim_stats_has_position(jsonb) IS 'Whether an equity event shows an open position.';
