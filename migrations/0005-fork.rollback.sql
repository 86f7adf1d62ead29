ALTER TABLE sim_sessions
    DROP COLUMN parent_id,
    DROP COLUMN fork_seq,
    DROP COLUMN lineage;
