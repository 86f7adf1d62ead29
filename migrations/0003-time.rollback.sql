DROP FUNCTION IF EXISTS sim_frames(uuid, bigint, integer, bigint, text[], boolean);

ALTER TABLE sim_sessions
    DROP COLUMN extra_timeframes,
    DROP COLUMN steps_left,
    DROP COLUMN until_ms,
    DROP COLUMN until_type,
    DROP COLUMN jump_ms;
