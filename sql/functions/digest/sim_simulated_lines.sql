-- The next simulated events after a seq, up to another one (null: to the end), as one text with one line per event: ts,
-- type, payload. One text costs a reader a quarter of as many rows. The payloads of candles and equity have no spaces
-- here: they have no text with a comma or colon.
CREATE OR REPLACE FUNCTION sim_simulated_lines(
  session uuid, after_seq bigint, max_rows bigint, to_seq bigint DEFAULT NULL)
RETURNS TABLE (last_seq bigint, body text)
LANGUAGE sql STABLE
SET enable_sort = off AS $$
  SELECT max(l.seq), string_agg(l.line, E'\n' ORDER BY l.seq)
  FROM (
    SELECT
      e.seq,
      e.ts || ' ' || e.type || ' ' || CASE
        WHEN e.type IN ('candle', 'equity') THEN replace(replace(e.payload::text, '": ', '":'), ', ', ',')
        ELSE e.payload::text
      END AS line
    FROM sim_events e
    WHERE e.session_id = sim_simulated_lines.session
      AND e.seq > sim_simulated_lines.after_seq
      AND e.seq <= coalesce(sim_simulated_lines.to_seq, 9223372036854775807)
      AND sim_is_simulated(e.type)
    ORDER BY e.seq
    LIMIT sim_simulated_lines.max_rows
  ) l;
$$;

COMMENT ON FUNCTION sim_simulated_lines(uuid, bigint, bigint, bigint) IS 'The next simulated events after a seq as lines of text, and the seq of the last one.';
