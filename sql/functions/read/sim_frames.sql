-- A page of the log as text/event-stream frames. They are rendered here, so that no process parses JSON on the way to a
-- client. The page ends at max_rows or at max_bytes, but not before its first event; last_seq is the last seq read,
-- whether its type matched or not. status and head are the session's at the same moment, null if it is deleted.
--
-- A full page without any of the types asked for is followed by a look into the index of types: last_seq is then the one
-- before their next event.
--
-- Nearly every page fits into max_bytes. To measure frame by frame takes longer than to render, so only a page that does
-- not fit is read again by sim_frames_bounded.
CREATE OR REPLACE FUNCTION sim_frames(
  session uuid, after_seq bigint, max_rows integer, max_bytes bigint, types text[], market boolean)
RETURNS TABLE (last_seq bigint, events bigint, body text, status text, head bigint)
LANGUAGE plpgsql STABLE
SET enable_sort = off
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
  SELECT max(r.seq), count(r.frame), string_agg(r.frame, '' ORDER BY r.seq)
  INTO last_seq, events, body
  FROM (
    SELECT
      e.seq,
      CASE
        WHEN sim_frames.market THEN market_frame(e.session_id, e.seq, e.type, e.payload)
        WHEN sim_frames.types IS NULL OR e.type = ANY (sim_frames.types) THEN sim_frame(e.seq, e.ts, e.type, e.payload)
      END AS frame
    FROM sim_events e
    WHERE e.session_id = sim_frames.session
      AND e.seq > sim_frames.after_seq
      AND e.seq <= sim_frames.after_seq + sim_frames.max_rows
    ORDER BY e.seq
    OFFSET 0  -- otherwise a frame is rendered once for each use of it
  ) r;

  IF octet_length(body) > sim_frames.max_bytes THEN
    SELECT f.last_seq, f.events, f.body
    INTO last_seq, events, body
    FROM sim_frames_bounded(
      sim_frames.session, sim_frames.after_seq, sim_frames.max_rows, sim_frames.max_bytes, sim_frames.types,
      sim_frames.market) f;
  END IF;

  SELECT s.status, s.last_seq
  INTO status, head
  FROM sim_sessions s
  WHERE s.id = sim_frames.session AND s.deleted_at IS NULL;

  IF events = 0 AND NOT sim_frames.market AND last_seq = sim_frames.after_seq + sim_frames.max_rows THEN
    SELECT coalesce(min(m.seq) - 1, head, last_seq)
    INTO last_seq
    FROM sim_matching_events(sim_frames.session, last_seq + 1, 1, sim_frames.types) m;
  END IF;
  RETURN NEXT;
END;
$$;

COMMENT ON FUNCTION sim_frames(uuid, bigint, integer, bigint, text[], boolean) IS 'The log after a seq as text/event-stream frames, of some types or in the market dialect.';
