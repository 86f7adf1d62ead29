-- The size of a log, for quotas; what is kept of a long log, so that its figures need not be computed again; and an
-- index with which each rare type of events is found without reading the others.
-- depends: 0012-identity 0015-rules 0016-strategies

ALTER TABLE sim_sessions ADD COLUMN log_bytes bigint NOT NULL DEFAULT 0;

UPDATE sim_sessions SET log_bytes = 200 * last_seq;

COMMENT ON COLUMN sim_sessions.log_bytes IS 'Bytes of the payloads in the log as JSON text; an estimate for the events of earlier versions.';

CREATE TABLE sim_kept (
    session_id uuid PRIMARY KEY,
    seq bigint NOT NULL,
    state jsonb NOT NULL,
    types jsonb NOT NULL
);

COMMENT ON TABLE sim_kept IS 'What is known of the beginning of a long log, so that figures of the whole log are computed from there. A cache: deleting rows loses nothing.';
COMMENT ON COLUMN sim_kept.session_id IS 'Session; no foreign key, as with events.';
COMMENT ON COLUMN sim_kept.seq IS 'Up to which seq.';
COMMENT ON COLUMN sim_kept.state IS 'State of sim_stats at that seq.';
COMMENT ON COLUMN sim_kept.types IS 'Type of event -> seq of its last event up to that seq; absent: there is none.';

CREATE TABLE sim_kept_curve (
    session_id uuid,
    part bigint,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    low numeric NOT NULL,
    low_seq bigint NOT NULL,
    high numeric NOT NULL,
    high_seq bigint NOT NULL,
    PRIMARY KEY (session_id, part)
);

COMMENT ON TABLE sim_kept_curve IS 'The equity curve of the beginning of a long log, in parts of 500 seqs. A cache like sim_kept.';
COMMENT ON COLUMN sim_kept_curve.session_id IS 'Session; no foreign key, as with events.';
COMMENT ON COLUMN sim_kept_curve.part IS 'Number of the part: seq / 500.';
COMMENT ON COLUMN sim_kept_curve.first_seq IS 'First equity event of the part.';
COMMENT ON COLUMN sim_kept_curve.last_seq IS 'Last equity event of the part.';
COMMENT ON COLUMN sim_kept_curve.low IS 'Lowest equity of the part.';
COMMENT ON COLUMN sim_kept_curve.low_seq IS 'First event with the lowest equity.';
COMMENT ON COLUMN sim_kept_curve.high IS 'Highest equity of the part.';
COMMENT ON COLUMN sim_kept_curve.high_seq IS 'First event with the highest equity.';

CREATE INDEX sim_events_by_type ON sim_events (session_id, type, seq) WHERE type NOT IN ('candle', 'equity', 'plot');

DROP INDEX sim_events_rare;
