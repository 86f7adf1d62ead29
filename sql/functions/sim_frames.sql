-- A page of the log as server-sent events, rendered here so that nobody parses JSON on the way to a client. The page
-- ends at max_rows or, after its first event, at max_bytes; last_seq is how far it looked, matching types or not.
CREATE OR REPLACE FUNCTION sim_frames(session uuid, after_seq bigint, max_rows integer, max_bytes bigint, types text[])
RETURNS TABLE (last_seq bigint, events bigint, body text) LANGUAGE sql STABLE AS $$
  SELECT max(page.seq), count(page.frame), string_agg(page.frame, '' ORDER BY page.seq)
  FROM (
    SELECT rendered.seq, rendered.frame,
           sum(octet_length(rendered.frame)) OVER (ORDER BY rendered.seq ROWS UNBOUNDED PRECEDING) AS bytes,
           min(rendered.seq) OVER () AS first_seq
    FROM (
      SELECT e.seq, CASE WHEN sim_frames.types IS NULL OR e.type = ANY (sim_frames.types) THEN
               'id: ' || e.seq || E'\ndata: {"seq":' || e.seq || ',"ts":' || e.ts || ',"type":"' || e.type
               || '","payload":' || e.payload::text || E'}\n\n' END AS frame
      FROM sim_events e
      WHERE e.session_id = sim_frames.session AND e.seq > sim_frames.after_seq
      ORDER BY e.seq LIMIT sim_frames.max_rows) rendered) page
  WHERE page.bytes IS NULL OR page.bytes <= sim_frames.max_bytes OR page.seq = page.first_seq;
$$;

COMMENT ON FUNCTION sim_frames(uuid, bigint, integer, bigint, text[]) IS 'The log behind a seq as text/event-stream frames.';
