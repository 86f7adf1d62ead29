-- Which user strategies each server knows, for `zeon doctor`.
-- depends: 0011-symbols

ALTER TABLE sim_runners ADD COLUMN strategies text[];

COMMENT ON COLUMN sim_runners.strategies IS 'Slugs of the user strategies that the process knows; null = not told yet.';
