-- Like sim_frames, for a page that does not fit into max_bytes: measure frame by frame, and end the page with the last
-- frame that fits, but not before its first event.
CREATE OR REPLACE FUNCTION sim_frames_bounded(
  session uuid, after_seq bigint, max_rows integer, max_bytes bigint, types text[], market boolean)
RETURNS TABLE (last_seq bigint, events bigint, body text)
LANGUAGE sql STABLE
SET enable_sort = off AS $$
  SELECT max(m.seq), count(m.frame), string_agg(m.frame, '' ORDER BY m.seq)
  FROM (
    SELECT r.seq, r.frame, sum(octet_length(r.frame)) OVER (ORDER BY r.seq ROWS UNBOUNDED PRECEDING) AS bytes
    FROM (
      SELECT
        e.seq,
        CASE
          WHEN sim_frames_bounded.market THEN market_frame(e.session_id, e.seq, e.type, e.payload)
          WHEN sim_frames_bounded.types IS NULL OR e.type = ANY (sim_frames_bounded.types)
          THEN sim_frame(e.seq, e.ts, e.type, e.payload)
        END AS frame
      FROM sim_events e
      WHERE e.session_id = sim_frames_bounded.session
        AND e.seq > sim_frames_bounded.after_seq
        AND e.seq <= sim_frames_bounded.after_seq + sim_frames_bounded.max_rows
      ORDER BY e.seq
      OFFSET 0  -- otherwise a frame is rendered once for each use of it
    ) r
  ) m
  WHERE coalesce(m.bytes, 0) <= sim_frames_bounded.max_bytes OR m.seq = sim_frames_bounded.after_seq + 1;
$$;

COMMENT ON FUNCTION sim_frames_bounded(uuid, bigint, integer, bigint, text[], boolean) IS 'The frames after a seq that fit into a number of bytes, at least one event.';
