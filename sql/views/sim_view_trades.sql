-- Closed trades with readable times: one row per closed lot, money in quote currency.
CREATE OR REPLACE VIEW sim_view_trades AS
SELECT
  e.session_id,
  e.seq,
  e.ts,
  to_timestamp(e.ts / 1000.0) AS at,
  e.payload ->> 'symbol' AS symbol,
  e.payload ->> 'side' AS side,
  (e.payload ->> 'qty')::numeric AS qty,
  (e.payload ->> 'entryPrice')::numeric AS entry_price,
  (e.payload ->> 'exitPrice')::numeric AS exit_price,
  to_timestamp((e.payload ->> 'entryTs')::bigint / 1000.0) AS entered,
  to_timestamp((e.payload ->> 'exitTs')::bigint / 1000.0) AS exited,
  (e.payload ->> 'grossPnl')::numeric AS gross_pnl,
  (e.payload ->> 'fees')::numeric AS fees,
  (e.payload ->> 'netPnl')::numeric AS net_pnl,
  (e.payload ->> 'holdBars')::bigint AS hold_bars,
  e.payload ->> 'reason' AS reason
FROM sim_events e
WHERE e.type = 'trade';

COMMENT ON VIEW sim_view_trades IS 'Closed trades with their times; filter by session_id.';
