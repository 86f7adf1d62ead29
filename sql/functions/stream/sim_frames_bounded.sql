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
    FROM sim_page_frames(
      sim_frames_bounded.session, sim_frames_bounded.after_seq, sim_frames_bounded.max_rows, sim_frames_bounded.types,
      sim_frames_bounded.dialect) rendered
  ) measured
  WHERE coalesce(measured.bytes, 0) <= sim_frames_bounded.max_bytes OR measured.seq = sim_frames_bounded.after_seq + 1;
$$;

COMMENT ON FUNCTION sim_frames_bounded(uuid, bigint, integer, bigint, text[], text) IS 'The frames after a seq that fit into a number of bytes, at least one event.';
