-- Whether a server that knows some strategies can run sessions of some profiles: each is a strategy that it knows, or a
-- stored profile of one. Null strategies: the server has not told yet, so it may know them.
CREATE OR REPLACE FUNCTION sim_knows(strategies text[], profiles text[])
RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT sim_knows.strategies IS NULL OR NOT EXISTS (
    SELECT FROM unnest(sim_knows.profiles) used (slug)
    WHERE used.slug <> ALL (sim_knows.strategies) AND NOT EXISTS (
      SELECT FROM sim_profiles p
      WHERE p.slug = used.slug AND p.strategy = ANY (sim_knows.strategies)));
$$;

COMMENT ON FUNCTION sim_knows(text[], text[]) IS 'Whether a server that knows some strategies can run sessions of some profiles.';
