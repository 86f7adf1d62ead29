-- Two sets of exact figures made one: those named in sums are added (absent is 0), those in tops keep the larger.
CREATE OR REPLACE FUNCTION sim_add(a jsonb, b jsonb, sums text[], tops text[])
RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(jsonb_object_agg(k.name, CASE
           WHEN k.name = ANY (sim_add.sums) THEN coalesce((a ->> k.name)::numeric, 0) + coalesce((b ->> k.name)::numeric, 0)
           ELSE greatest((a ->> k.name)::numeric, (b ->> k.name)::numeric) END), '{}')
  FROM unnest(sim_add.sums || sim_add.tops) AS k (name);
$$;

COMMENT ON FUNCTION sim_add(jsonb, jsonb, text[], text[]) IS 'Two sets of figures as one: some added, of the others the larger.';
