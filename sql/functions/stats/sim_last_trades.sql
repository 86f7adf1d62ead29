-- The newest closed trades of a log, newest first; times in ms.
CREATE OR REPLACE FUNCTION sim_last_trades(session uuid, max_rows bigint)
RETURNS TABLE (
  symbol text, side text, qty numeric, entry_price numeric, exit_price numeric, entry_ts bigint, exit_ts bigint,
  gross_pnl numeric, fees numeric, hold_bars bigint, reason text
)
LANGUAGE sql STABLE
SET enable_sort = off AS $$
  SELECT
    e.payload ->> 'symbol',
    e.payload ->> 'side',
    (e.payload ->> 'qty')::numeric,
    (e.payload ->> 'entryPrice')::numeric,
    (e.payload ->> 'exitPrice')::numeric,
    (e.payload ->> 'entryTs')::bigint,
    (e.payload ->> 'exitTs')::bigint,
    (e.payload ->> 'grossPnl')::numeric,
    (e.payload ->> 'fees')::numeric,
    (e.payload ->> 'holdBars')::bigint,
    e.payload ->> 'reason'
  FROM sim_events e
  WHERE e.session_id = sim_last_trades.session AND e.type = 'trade'
  ORDER BY e.seq DESC
  LIMIT sim_last_trades.max_rows;
$$;

COMMENT ON FUNCTION sim_last_trades(uuid, bigint) IS 'The newest closed trades of a log, newest first.';
