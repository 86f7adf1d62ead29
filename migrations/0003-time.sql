-- Mastery of time: longer candles beside the session's own, steps, runs up to a point, and jumps.
-- depends: 0002-market

ALTER TABLE sim_sessions
    ADD COLUMN extra_timeframes text[] NOT NULL DEFAULT '{}',
    ADD COLUMN steps_left integer CHECK (steps_left >= 0),
    ADD COLUMN until_ms bigint,
    ADD COLUMN until_type text,
    ADD COLUMN jump_ms bigint;

COMMENT ON COLUMN sim_sessions.extra_timeframes IS 'Longer candles built from the session''s own, finer first.';
COMMENT ON COLUMN sim_sessions.steps_left IS 'Ticks until the session pauses by itself; null = it does not.';
COMMENT ON COLUMN sim_sessions.until_ms IS 'The session pauses by itself before the first slot that opens here or later, ms UTC.';
COMMENT ON COLUMN sim_sessions.until_type IS 'The session pauses by itself after the first tick with an event of this type.';
COMMENT ON COLUMN sim_sessions.jump_ms IS 'Up to here, ms UTC, ticks follow each other without a pause.';

-- It also renders the market dialect from here on; sql/ brings its new text.
DROP FUNCTION IF EXISTS sim_frames(uuid, bigint, integer, bigint, text[]);
