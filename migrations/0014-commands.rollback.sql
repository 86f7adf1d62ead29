DROP TABLE sim_commands;
ALTER TABLE sim_sessions DROP COLUMN commands;
