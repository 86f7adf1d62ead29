ALTER TABLE sim_runners DROP COLUMN strategies;
