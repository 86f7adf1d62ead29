-- Whether the simulation itself writes events of a type. The other types say who steered the session, and when: two
-- equal simulations may differ in them. What the digest, diff and verify count.
CREATE OR REPLACE FUNCTION sim_is_simulated(type text)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT sim_is_simulated.type NOT IN ('status', 'control', 'note');
$$;

COMMENT ON FUNCTION sim_is_simulated(text) IS 'Whether the simulation itself writes events of this type, as opposed to who steers it.';
