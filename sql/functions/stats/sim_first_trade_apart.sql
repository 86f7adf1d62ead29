-- The first closed trade that is not the same in all of some sessions: of each session that has one with this number, its
-- seq, time and payload. No rows if all trades are the same, or there are none.
CREATE OR REPLACE FUNCTION sim_first_trade_apart(sessions uuid[])
RETURNS TABLE (session uuid, trade bigint, seq bigint, ts bigint, payload jsonb)
LANGUAGE sql STABLE AS $$
  WITH numbered AS (
    SELECT e.session_id, e.seq, e.ts, e.payload, row_number() OVER (PARTITION BY e.session_id ORDER BY e.seq) AS trade
    FROM sim_events e
    WHERE e.session_id = ANY (sim_first_trade_apart.sessions) AND e.type = 'trade'
  ), first AS (
    SELECT n.trade
    FROM numbered n
    GROUP BY n.trade
    HAVING count(*) < cardinality(sim_first_trade_apart.sessions) OR count(DISTINCT n.payload) > 1
    ORDER BY n.trade
    LIMIT 1
  )
  SELECT n.session_id, n.trade, n.seq, n.ts, n.payload
  FROM numbered n JOIN first f ON f.trade = n.trade
  ORDER BY array_position(sim_first_trade_apart.sessions, n.session_id);
$$;

COMMENT ON FUNCTION sim_first_trade_apart(uuid[]) IS 'The first closed trade that is not the same in all of some sessions.';
