-- The seq of the first of the last `events` events (of some types), 1 if there are fewer. Each call is planned again, so
-- that rare types are read from the index of these types.
CREATE OR REPLACE FUNCTION sim_tail_seq(session uuid, events bigint, types text[])
RETURNS bigint
LANGUAGE plpgsql STABLE
SET enable_sort = off
SET plan_cache_mode = force_custom_plan AS $$
BEGIN
  RETURN coalesce((
    SELECT e.seq
    FROM sim_events e
    WHERE e.session_id = sim_tail_seq.session
      AND (sim_tail_seq.types IS NULL OR e.type = ANY (sim_tail_seq.types))
    ORDER BY e.seq DESC
    OFFSET sim_tail_seq.events - 1
    LIMIT 1), 1);
END;
$$;

COMMENT ON FUNCTION sim_tail_seq(uuid, bigint, text[]) IS 'Seq of the first of the last events of a log, of some types.';
