-- What became of orders: those in the logs as their last event left them, and the commands that no server has applied
-- yet (waiting) or that were refused, which have no order. Filter by session_id.
CREATE OR REPLACE VIEW sim_view_orders AS
SELECT
  s.id AS session_id,
  o.order_id,
  o.command_id,
  o.client_order_id,
  o.ts,
  to_timestamp(o.ts / 1000.0) AS at,
  o.symbol,
  o.side,
  o.type,
  o.qty,
  o.filled,
  o.cost / nullif(o.filled, 0) AS avg_price,
  o.limit_price,
  o.stop_price,
  o.status,
  o.reason,
  o.tag
FROM sim_sessions s
CROSS JOIN LATERAL sim_orders(s.id, only_open => false, after_id => 0, max_rows => NULL) o
WHERE s.deleted_at IS NULL
UNION ALL
SELECT
  c.session_id, NULL, c.id, coalesce(c.client_order_id, c.args ->> 'clientOrderId'), NULL, NULL, c.args ->> 'symbol',
  c.args ->> 'side', coalesce(c.args ->> 'type', c.action), NULL, NULL, NULL, NULL, NULL,
  CASE WHEN c.answer IS NULL THEN 'waiting' ELSE 'refused' END, c.answer ->> 'error', c.args ->> 'tag'
FROM sim_commands c
WHERE c.answered_seq IS NULL;

COMMENT ON VIEW sim_view_orders IS 'Orders of sessions and what became of them, also of commands that wait or were refused; filter by session_id.';
