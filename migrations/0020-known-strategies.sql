-- A server claims only sessions whose strategies it knows.
-- depends: 0016-strategies

COMMENT ON COLUMN sim_runners.strategies IS 'Slugs of the strategies that the process knows, built-in ones too; null = not told yet.';
