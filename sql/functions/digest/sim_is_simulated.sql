-- Whether the simulation itself writes events of a type; digest, diff and verify use only these. The other types record
-- what users and servers did: two equal simulations may differ in them.
CREATE OR REPLACE FUNCTION sim_is_simulated(type text)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT sim_is_simulated.type NOT IN ('status', 'control', 'note');
$$;

COMMENT ON FUNCTION sim_is_simulated(text) IS 'Whether the simulation itself writes events of this type: every type except status, control and note.';
