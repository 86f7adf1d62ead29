-- The equity curve with readable times; positions is null with one symbol, position_qty with several.
CREATE OR REPLACE VIEW sim_view_equity AS
SELECT
  e.session_id,
  e.seq,
  e.ts,
  to_timestamp(e.ts / 1000.0) AS at,
  (e.payload ->> 'equity')::numeric AS equity,
  (e.payload ->> 'cash')::numeric AS cash,
  (e.payload ->> 'positionQty')::numeric AS position_qty,
  (e.payload ->> 'positionValue')::numeric AS position_value,
  (e.payload ->> 'realizedPnl')::numeric AS realized_pnl,
  (e.payload ->> 'unrealizedPnl')::numeric AS unrealized_pnl,
  (e.payload ->> 'feesPaid')::numeric AS fees_paid,
  (e.payload ->> 'peakEquity')::numeric AS peak_equity,
  (e.payload ->> 'drawdownPct')::numeric AS drawdown_pct,
  e.payload -> 'positions' AS positions
FROM sim_events e
WHERE e.type = 'equity';

COMMENT ON VIEW sim_view_equity IS 'Equity events with their times; filter by session_id.';
