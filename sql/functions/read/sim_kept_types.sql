-- What sim_kept knows about some types: after `last_seq` there is none of them up to `kept_seq`. Both are 0 for a log of
-- which nothing is kept.
CREATE OR REPLACE FUNCTION sim_kept_types(session uuid, types text[])
RETURNS TABLE (kept_seq bigint, last_seq bigint)
LANGUAGE sql STABLE AS $$
  SELECT
    coalesce(max(k.seq), 0),
    coalesce(max((SELECT max((k.types ->> t)::bigint) FROM unnest(sim_kept_types.types) t)), 0)
  FROM sim_kept k
  WHERE k.session_id = sim_kept_types.session;
$$;

COMMENT ON FUNCTION sim_kept_types(uuid, text[]) IS 'Between which seqs of a long log there is no event of some types.';
