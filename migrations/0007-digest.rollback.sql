ALTER TABLE sim_sessions DROP COLUMN digest;
