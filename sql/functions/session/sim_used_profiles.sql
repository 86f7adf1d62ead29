-- The profiles of all strategies that wrote the log of a session or will write it: its own, and in a fork those of the
-- ancestors that wrote ticks or commands.
CREATE OR REPLACE FUNCTION sim_used_profiles(session sim_sessions)
RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
  SELECT ARRAY[session.profile_slug] || ARRAY(
    SELECT a ->> 'profileSlug'
    FROM jsonb_array_elements(session.lineage) a
    WHERE a ->> 'toCursorMs' IS NOT NULL OR (a ->> 'toCommand')::bigint > 0);
$$;

COMMENT ON FUNCTION sim_used_profiles(sim_sessions) IS 'The profiles of all strategies that wrote the log of a session or will write it.';
