DROP TABLE sim_snapshots;
