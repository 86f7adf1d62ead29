-- A page of the log as text/event-stream frames. They are rendered here, so that no process parses JSON on the way to a
-- client. The page ends at max_rows or at max_bytes, but not before its first event; last_seq is the last seq read,
-- whether its type matched or not, and written_at its created_at. status and head are the session's at the same moment,
-- null if it is deleted.
--
-- A full page without any of the types asked for is followed by a look into the index of types: last_seq is then the one
-- before their next event.
--
-- Nearly every page fits into max_bytes. To measure frame by frame takes longer than to render, so only a page that does
-- not fit is read again by sim_frames_bounded.
CREATE OR REPLACE FUNCTION sim_frames(
  session uuid, after_seq bigint, max_rows integer, max_bytes bigint, types text[], dialect text)
RETURNS TABLE (
  last_seq bigint, events bigint, body text, status text, head bigint, written_at timestamptz)
LANGUAGE plpgsql STABLE
SET enable_sort = off
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
  SELECT max(rendered.seq), count(rendered.frame), string_agg(rendered.frame, '' ORDER BY rendered.seq)
  INTO last_seq, events, body
  FROM sim_page_frames(
    sim_frames.session, sim_frames.after_seq, sim_frames.max_rows, sim_frames.types, sim_frames.dialect) rendered;

  IF octet_length(body) > sim_frames.max_bytes THEN
    SELECT bounded.last_seq, bounded.events, bounded.body
    INTO last_seq, events, body
    FROM sim_frames_bounded(
      sim_frames.session, sim_frames.after_seq, sim_frames.max_rows, sim_frames.max_bytes, sim_frames.types,
      sim_frames.dialect) bounded;
  END IF;

  IF events = 0 AND sim_frames.dialect = 'sim' AND last_seq = sim_frames.after_seq + sim_frames.max_rows THEN
    SELECT coalesce(min(m.seq) - 1, (SELECT s.last_seq FROM sim_sessions s WHERE s.id = sim_frames.session), last_seq)
    INTO last_seq FROM sim_matching_events(sim_frames.session, last_seq + 1, 1, sim_frames.types) m;
  END IF;

  SELECT session_row.status, session_row.last_seq, (
      SELECT e.created_at FROM sim_events e WHERE e.session_id = sim_frames.session AND e.seq = sim_frames.last_seq)
  INTO status, head, written_at
  FROM sim_sessions session_row
  WHERE session_row.id = sim_frames.session AND session_row.deleted_at IS NULL;
  RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION sim_frames(uuid, bigint, integer, bigint, text[], text) IS 'The log after a seq as text/event-stream frames, of some types, in a dialect.';
