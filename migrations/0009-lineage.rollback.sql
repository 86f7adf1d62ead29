COMMENT ON COLUMN sim_sessions.lineage IS 'Per ancestor, oldest first: sessionId, up to which seq and cursor, profile, config and terms.';
