-- Events in (after_seq, to_seq], at most max_bytes of them, but at least one. `matching` is the number of events in the
-- whole range: more than the rows if max_bytes was reached.
CREATE OR REPLACE FUNCTION sim_event_rows(session uuid, after_seq bigint, to_seq bigint, max_bytes bigint, types text[])
RETURNS TABLE (seq bigint, ts bigint, type text, body text, matching bigint)
LANGUAGE sql STABLE
SET enable_sort = off AS $$
  SELECT m.seq, m.ts, m.type, m.body, m.matching
  FROM (
    SELECT
      p.*,
      row_number() OVER w AS number,
      sum(octet_length(p.body)) OVER w AS bytes,
      count(*) OVER () AS matching
    FROM (
      SELECT e.seq, e.ts, e.type, e.payload::text AS body
      FROM sim_events e
      WHERE e.session_id = sim_event_rows.session
        AND e.seq > sim_event_rows.after_seq
        AND e.seq <= sim_event_rows.to_seq
        AND (sim_event_rows.types IS NULL OR e.type = ANY (sim_event_rows.types))
    ) p
    WINDOW w AS (ORDER BY p.seq)
  ) m
  WHERE m.bytes <= sim_event_rows.max_bytes OR m.number = 1
  ORDER BY m.seq;
$$;

COMMENT ON FUNCTION sim_event_rows(uuid, bigint, bigint, bigint, text[]) IS 'Events of a range of seqs, of some types, as many as fit into a number of bytes.';
