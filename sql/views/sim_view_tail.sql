-- Events with readable times: filter by session_id, order by seq descending.
CREATE OR REPLACE VIEW sim_view_tail AS
SELECT
  e.session_id,
  e.seq,
  e.ts,
  to_timestamp(e.ts / 1000.0) AS at,
  e.type,
  coalesce(e.payload ->> 'symbol', e.payload ->> 'status', e.payload ->> 'action') AS what,
  (e.payload #>> '{candle,close}')::numeric AS close,
  e.payload,
  e.created_at
FROM sim_events e;

COMMENT ON VIEW sim_view_tail IS 'Events with their times; filter by session_id.';
