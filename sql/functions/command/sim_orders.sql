-- The orders of a session as its log has them, oldest first, each as its last event left it: how much is filled and at
-- which mean price, and the command that placed it, if one did. After an id of an order, at most so many.
CREATE OR REPLACE FUNCTION sim_orders(session uuid, only_open boolean, after_id bigint, max_rows integer)
RETURNS TABLE (
  order_id bigint, seq bigint, ts bigint, placed_ts bigint, symbol text, side text, type text, qty numeric, sizing jsonb,
  limit_price numeric, stop_price numeric, status text, reason text, tag text, filled numeric, cost numeric,
  command_id bigint, command_seq bigint, client_order_id text)
LANGUAGE sql STABLE AS $$
  WITH changes AS (
    SELECT
      (e.payload ->> 'orderId')::bigint AS id,
      min(e.seq) AS first_seq,
      max(e.seq) FILTER (WHERE e.type = 'order') AS last_seq,
      min(e.ts) AS placed_ts,
      sum((e.payload ->> 'qty')::numeric) FILTER (WHERE e.type = 'fill') AS filled,
      sum((e.payload ->> 'qty')::numeric * (e.payload ->> 'price')::numeric) FILTER (WHERE e.type = 'fill') AS cost
    FROM sim_events e
    WHERE e.session_id = sim_orders.session
      AND e.type NOT IN ('candle', 'equity', 'plot')
      AND e.type IN ('order', 'fill')
      AND (e.payload ->> 'orderId')::bigint > sim_orders.after_id
    GROUP BY 1
  )
  SELECT
    c.id, e.seq, e.ts, c.placed_ts, e.payload ->> 'symbol', e.payload ->> 'side', e.payload ->> 'type',
    (e.payload ->> 'qty')::numeric, e.payload -> 'sizing', (e.payload ->> 'limitPrice')::numeric,
    (e.payload ->> 'stopPrice')::numeric, e.payload ->> 'status', e.payload ->> 'reason', e.payload ->> 'tag',
    coalesce(c.filled, 0), coalesce(c.cost, 0), m.id, m.answered_seq, m.client_order_id
  FROM changes c
  JOIN sim_events e ON e.session_id = sim_orders.session AND e.seq = c.last_seq
  LEFT JOIN sim_commands m ON m.session_id = sim_orders.session AND m.action = 'order'
    AND m.answered_seq = c.first_seq - 1  -- the control event stands right before the first event of its order
  WHERE NOT sim_orders.only_open OR e.payload ->> 'status' IN ('accepted', 'triggered', 'partial')
  ORDER BY c.id
  LIMIT sim_orders.max_rows;
$$;

COMMENT ON FUNCTION sim_orders(uuid, boolean, bigint, integer) IS 'Orders of a session as the log has them, oldest first.';
