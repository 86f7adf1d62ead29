-- The statistics of two logs side by side: every figure of sim_stats except its range, in the same order, and the
-- difference b - a. Null if a figure is undefined, or a session does not exist.
CREATE OR REPLACE FUNCTION sim_compare(a uuid, b uuid)
RETURNS TABLE (figure text, value_a numeric, value_b numeric, difference numeric)
LANGUAGE sql STABLE AS $$
  WITH figures AS (
    SELECT o.side, f.name, f.position, CASE WHEN f.name <> 'next_state' THEN f.value END::numeric AS value
    FROM (VALUES ('a', sim_compare.a), ('b', sim_compare.b)) AS o (side, id)
    CROSS JOIN LATERAL sim_stats(o.id) s
    CROSS JOIN LATERAL json_each_text(row_to_json(s)) WITH ORDINALITY AS f (name, value, position)
  )
  SELECT
    f.name,
    max(f.value) FILTER (WHERE f.side = 'a'),
    max(f.value) FILTER (WHERE f.side = 'b'),
    max(f.value) FILTER (WHERE f.side = 'b') - max(f.value) FILTER (WHERE f.side = 'a')
  FROM figures f
  WHERE f.name NOT IN ('seq', 'from_ms', 'to_ms', 'periods_per_year', 'next_state')
  GROUP BY f.name, f.position
  ORDER BY f.position;
$$;

COMMENT ON FUNCTION sim_compare(uuid, uuid) IS 'Statistics of two sessions side by side, and the difference b - a.';
