-- A page of the log as server-sent events, rendered here so that nobody parses JSON on the way to a client. The page
-- ends at max_rows or, after its first event, at max_bytes; last_seq is how far it looked, matching types or not.
-- A seq has no holes, so max_rows bounds it, and no estimate of how much lies behind can mislead the planner.
-- Nearly every page is short enough; measuring it frame by frame takes longer than rendering it, so that is done only
-- for one that is not. status and head are the session's own at the same moment, null when it is gone.
CREATE OR REPLACE FUNCTION sim_frames(session uuid, after_seq bigint, max_rows integer, max_bytes bigint, types text[],
                                      market boolean)
RETURNS TABLE (last_seq bigint, events bigint, body text, status text, head bigint) LANGUAGE sql STABLE AS $$
  WITH rendered AS NOT MATERIALIZED (
    SELECT e.seq, CASE WHEN sim_frames.market THEN market_frame(e.session_id, e.seq, e.type, e.payload)
                       WHEN sim_frames.types IS NULL OR e.type = ANY (sim_frames.types)
                       THEN sim_frame(e.seq, e.ts, e.type, e.payload) END AS frame
    FROM sim_events e
    WHERE e.session_id = sim_frames.session
      AND e.seq > sim_frames.after_seq AND e.seq <= sim_frames.after_seq + sim_frames.max_rows
    ORDER BY e.seq OFFSET 0  -- or a frame would be rendered once for each use of it
  ), whole AS MATERIALIZED (
    SELECT max(r.seq) AS last_seq, count(r.frame) AS events, string_agg(r.frame, '' ORDER BY r.seq) AS body
    FROM rendered r
  ), long AS (
    SELECT FROM whole w WHERE octet_length(w.body) > sim_frames.max_bytes
  ), page AS (
    SELECT w.* FROM whole w WHERE NOT EXISTS (SELECT FROM long)
    UNION ALL
    SELECT max(m.seq), count(m.frame), string_agg(m.frame, '' ORDER BY m.seq)
    FROM (SELECT r.seq, r.frame, sum(octet_length(r.frame)) OVER (ORDER BY r.seq ROWS UNBOUNDED PRECEDING) AS bytes
          FROM rendered r) m
    WHERE EXISTS (SELECT FROM long)
      AND (coalesce(m.bytes, 0) <= sim_frames.max_bytes OR m.seq = sim_frames.after_seq + 1)
    HAVING EXISTS (SELECT FROM long)
  )
  SELECT p.last_seq, p.events, p.body, s.status, s.last_seq
  FROM page p LEFT JOIN sim_sessions s ON s.id = sim_frames.session AND s.deleted_at IS NULL;
$$;

COMMENT ON FUNCTION sim_frames(uuid, bigint, integer, bigint, text[], boolean) IS 'The log behind a seq as text/event-stream frames, of some types or in the market dialect.';
