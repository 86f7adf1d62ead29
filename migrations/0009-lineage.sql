-- A fork remembers with what code its ancestors wrote the log it shares.
-- depends: 0008-snapshot

COMMENT ON COLUMN sim_sessions.lineage IS 'Per ancestor, oldest first: sessionId, up to which seq and cursor, profile, config, terms and the hash of the code.';
