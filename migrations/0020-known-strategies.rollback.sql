COMMENT ON COLUMN sim_runners.strategies IS 'Slugs of the user strategies that the process knows; null = not told yet.';
