-- What is not written with every candle is found without reading the log: orders, fills, trades, signals, gaps, notes.
-- depends: 0009-lineage

CREATE INDEX sim_events_rare ON sim_events (session_id, seq) WHERE type NOT IN ('candle', 'equity', 'plot');
