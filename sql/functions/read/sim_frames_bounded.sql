-- Like sim_frames, for a page that does not fit into max_bytes: measure frame by frame, and end the page with the last
-- frame that fits, but not before its first event.
CREATE OR REPLACE FUNCTION sim_frames_bounded(
  session uuid, after_seq bigint, max_rows integer, max_bytes bigint, types text[], dialect text)
RETURNS TABLE (last_seq bigint, events bigint, body text)
LANGUAGE sql STABLE
SET enable_sort = off AS $$
  SELECT max(measured.seq), count(measured.frame), string_agg(measured.frame, '' ORDER BY measured.seq)
  FROM (
    SELECT
      rendered.seq,
      rendered.frame,
      sum(octet_length(rendered.frame)) OVER (ORDER BY rendered.seq ROWS UNBOUNDED PRECEDING) AS bytes
    FROM (
      SELECT
        event.seq,
        CASE
          WHEN event.type <> ALL (sim_frames_bounded.types) THEN NULL
          WHEN (SELECT sim_frames_bounded.dialect = 'sim') THEN sim_frame(event.seq, event.ts, event.type, event.payload)
          WHEN (SELECT sim_frames_bounded.dialect = 'market')
          THEN market_frame(event.session_id, event.seq, event.type, event.payload)
        END AS frame
      FROM sim_events event
      WHERE event.session_id = sim_frames_bounded.session
        AND event.seq > sim_frames_bounded.after_seq
        AND event.seq <= sim_frames_bounded.after_seq + sim_frames_bounded.max_rows
      ORDER BY event.seq
      OFFSET 0  -- otherwise a frame is rendered once for each use of it
    ) rendered
  ) measured
  WHERE coalesce(measured.bytes, 0) <= sim_frames_bounded.max_bytes OR measured.seq = sim_frames_bounded.after_seq + 1;
$$;

COMMENT ON FUNCTION sim_frames_bounded(uuid, bigint, integer, bigint, text[], text) IS 'The frames after a seq that fit into a number of bytes, at least one event.';
