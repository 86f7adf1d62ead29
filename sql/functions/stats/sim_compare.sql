-- How the results of two logs differ: every figure of sim_stats (without its range) on both sides, in its order there,
-- and the second less the first. null where a figure has no meaning, or one of the sessions is not there.
CREATE OR REPLACE FUNCTION sim_compare(a uuid, b uuid)
RETURNS TABLE (figure text, value_a numeric, value_b numeric, difference numeric) LANGUAGE sql STABLE AS $$
  WITH figures AS (
    SELECT of.side, f.name, f.place, CASE WHEN f.name <> 'next_state' THEN f.value END::numeric AS value
    FROM (VALUES (1, sim_compare.a), (2, sim_compare.b)) AS of (side, id) CROSS JOIN LATERAL sim_stats(of.id) s
    CROSS JOIN LATERAL json_each_text(row_to_json(s)) WITH ORDINALITY AS f (name, value, place)
  )
  SELECT f.name, max(f.value) FILTER (WHERE f.side = 1), max(f.value) FILTER (WHERE f.side = 2),
         max(f.value) FILTER (WHERE f.side = 2) - max(f.value) FILTER (WHERE f.side = 1)
  FROM figures f WHERE f.name NOT IN ('seq', 'from_ms', 'to_ms', 'periods_per_year', 'next_state') GROUP BY f.name, f.place ORDER BY f.place;
$$;

COMMENT ON FUNCTION sim_compare(uuid, uuid) IS 'Statistics of two sessions side by side, and the difference b - a.';
