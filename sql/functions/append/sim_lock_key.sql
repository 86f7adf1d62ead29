-- The key of an advisory lock. All keys of a database share one 64-bit space, so every lock takes its key from here:
-- the kind of lock, and the names of the protected thing. The only exception is the installer's lock, which is taken
-- before this function exists.
CREATE OR REPLACE FUNCTION sim_lock_key(kind text, VARIADIC names text[])
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT hashtextextended(array_to_json(sim_lock_key.kind || sim_lock_key.names)::text, 0);
$$;

COMMENT ON FUNCTION sim_lock_key(text, text[]) IS 'Key of the advisory lock of a kind for the thing with these names.';
