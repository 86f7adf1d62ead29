-- A page of events from a seq on (inclusive), as the elements of a JSON array without its brackets; of some types, or of
-- all (null).
CREATE OR REPLACE FUNCTION sim_event_page(session uuid, from_seq bigint, max_rows bigint, types text[])
RETURNS TABLE (body text, events bigint, last_seq bigint)
LANGUAGE plpgsql STABLE
SET enable_sort = off
SET plan_cache_mode = force_custom_plan AS $$
BEGIN
  IF sim_event_page.types IS NOT NULL THEN
    RETURN QUERY
    SELECT
      coalesce(string_agg(sim_event_json(m.seq, m.ts, m.type, m.payload), ',' ORDER BY m.seq), ''),
      count(*),
      max(m.seq)
    FROM sim_matching_events(
      sim_event_page.session, sim_event_page.from_seq, sim_event_page.max_rows, sim_event_page.types) m;
    RETURN;
  END IF;

  RETURN QUERY
  SELECT coalesce(string_agg(p.event, ',' ORDER BY p.seq), ''), count(*), max(p.seq)
  FROM (
    SELECT e.seq, sim_event_json(e.seq, e.ts, e.type, e.payload) AS event
    FROM sim_events e
    WHERE e.session_id = sim_event_page.session AND e.seq >= sim_event_page.from_seq
    ORDER BY e.seq
    LIMIT sim_event_page.max_rows
  ) p;
END;
$$;

COMMENT ON FUNCTION sim_event_page(uuid, bigint, bigint, text[]) IS 'Events from a seq on, of some types, as JSON text: the text, their number, and the last seq.';
