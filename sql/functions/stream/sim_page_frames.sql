-- The events of a page, each with its frame in a dialect; null for types that are not asked for. **Here a dialect's name
-- chooses the function that makes its bytes.** The dialect is compared in a subquery: once for a page, not for each row.
--
-- Postgres inlines this function into those that read a page, so it has no settings of its own.
CREATE OR REPLACE FUNCTION sim_page_frames(
  session uuid, after_seq bigint, max_rows integer, types text[], dialect text)
RETURNS TABLE (seq bigint, frame text)
LANGUAGE sql STABLE AS $$
  SELECT
    event.seq,
    CASE
      WHEN event.type <> ALL (sim_page_frames.types) THEN NULL
      WHEN (SELECT sim_page_frames.dialect = 'sim') THEN sim_frame(event.seq, event.ts, event.type, event.payload)
      WHEN (SELECT sim_page_frames.dialect = 'market')
      THEN market_frame(event.session_id, event.seq, event.type, event.payload)
    END
  FROM sim_events event
  WHERE event.session_id = sim_page_frames.session
    AND event.seq > sim_page_frames.after_seq
    AND event.seq <= sim_page_frames.after_seq + sim_page_frames.max_rows
  ORDER BY event.seq
  OFFSET 0;  -- otherwise a frame is rendered once for each use of it
$$;

COMMENT ON FUNCTION sim_page_frames(uuid, bigint, integer, text[], text) IS 'The events of a page, each with its text/event-stream frame in a dialect.';
