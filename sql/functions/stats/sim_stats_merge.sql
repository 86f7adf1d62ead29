-- Merge two sets of exact figures: those in sums are added (absent is 0), of those in maxima the larger one is used.
CREATE OR REPLACE FUNCTION sim_stats_merge(a jsonb, b jsonb, sums text[], maxima text[])
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(jsonb_object_agg(k.name, CASE
           WHEN k.name = ANY (sim_stats_merge.sums)
           THEN coalesce((a ->> k.name)::numeric, 0) + coalesce((b ->> k.name)::numeric, 0)
           ELSE greatest((a ->> k.name)::numeric, (b ->> k.name)::numeric) END), '{}')
  FROM unnest(sim_stats_merge.sums || sim_stats_merge.maxima) AS k (name);
$$;

COMMENT ON FUNCTION sim_stats_merge(jsonb, jsonb, text[], text[]) IS 'Merge two sets of figures: some are added, of the others the larger is taken.';
