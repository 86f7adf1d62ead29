-- A page of events from a seq on (inclusive), as the elements of a JSON array without its brackets. Each call is planned
-- again, so that a page of rare types is read from the index of these types.
CREATE OR REPLACE FUNCTION sim_event_page(session uuid, from_seq bigint, max_rows bigint, types text[])
RETURNS TABLE (body text, events bigint, last_seq bigint)
LANGUAGE plpgsql STABLE
SET enable_sort = off
SET plan_cache_mode = force_custom_plan AS $$
BEGIN
  RETURN QUERY
  SELECT coalesce(string_agg(p.event, ',' ORDER BY p.seq), ''), count(*), max(p.seq)
  FROM (
    SELECT
      e.seq,
      '{"seq":' || e.seq || ',"ts":' || e.ts || ',"type":"' || e.type || '","payload":' || e.payload::text || '}' AS event
    FROM sim_events e
    WHERE e.session_id = sim_event_page.session
      AND e.seq >= sim_event_page.from_seq
      AND (sim_event_page.types IS NULL OR e.type = ANY (sim_event_page.types))
    ORDER BY e.seq
    LIMIT sim_event_page.max_rows
  ) p;
END;
$$;

COMMENT ON FUNCTION sim_event_page(uuid, bigint, bigint, text[]) IS 'Events from a seq on, of some types, as JSON text: the text, their number, and the last seq.';
