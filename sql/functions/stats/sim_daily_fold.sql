-- Add the equity events in (after_seq, until_seq] to the daily figures of the events before them. A day has its last
-- equity, at the latest that of midnight UTC; days without events are left out. The return of the last day, which may go
-- on, is not in the sums: `base` is the equity before it and `equity` its last so far.
CREATE OR REPLACE FUNCTION sim_daily_fold(session uuid, figures jsonb, after_seq bigint, until_seq bigint)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET enable_sort = off
SET enable_bitmapscan = off AS $$
DECLARE
  _day_ms constant bigint := 86400000;
  _day bigint := figures ->> 'day';
  _base numeric := figures ->> 'base';
  _last bigint;
  _new jsonb;
BEGIN
  IF _day IS NULL THEN
    SELECT s.initial_cash INTO _base FROM sim_sessions s WHERE s.id = sim_daily_fold.session;
    SELECT (e.ts - 1) / _day_ms INTO _day FROM sim_events e
    WHERE e.session_id = sim_daily_fold.session AND e.type = 'equity'
      AND e.seq > sim_daily_fold.after_seq AND e.seq <= sim_daily_fold.until_seq
    ORDER BY e.seq LIMIT 1;
  END IF;

  SELECT (e.ts - 1) / _day_ms INTO _last FROM sim_events e
  WHERE e.session_id = sim_daily_fold.session AND e.type = 'equity'
    AND e.seq > sim_daily_fold.after_seq AND e.seq <= sim_daily_fold.until_seq
  ORDER BY e.seq DESC LIMIT 1;

  WITH ended AS (
    SELECT d.day, l.equity, lag(l.equity, 1, _base) OVER (ORDER BY d.day) AS before
    FROM generate_series(_day, _last) AS d (day)
    CROSS JOIN LATERAL (
      SELECT (e.payload -> 'equity')::numeric AS equity FROM sim_events e
      WHERE e.session_id = sim_daily_fold.session AND e.type = 'equity' AND e.seq <= sim_daily_fold.until_seq
        AND e.ts > d.day * _day_ms AND e.ts <= (d.day + 1) * _day_ms
      ORDER BY e.ts DESC, e.seq DESC LIMIT 1) l
  ), grown AS (
    SELECT n.*, CASE WHEN n.before > 0 THEN (n.equity - n.before) / n.before END AS return FROM ended n
  )
  SELECT jsonb_build_object(
    'days', count(*) FILTER (WHERE g.day < _last), 'returns', count(g.return) FILTER (WHERE g.day < _last),
    'sum', sum(g.return) FILTER (WHERE g.day < _last),
    'squares', sum(g.return * g.return) FILTER (WHERE g.day < _last),
    'losses', sum(g.return * g.return) FILTER (WHERE g.day < _last AND g.return < 0),
    'day', _last, 'base', max(g.before) FILTER (WHERE g.day = _last),
    'equity', max(g.equity) FILTER (WHERE g.day = _last)) INTO _new
  FROM grown g;

  RETURN CASE WHEN _last IS NULL THEN figures ELSE
    _new || sim_stats_merge(figures, _new, '{days,returns,sum,squares,losses}', '{}') END;
END;
$$;

COMMENT ON FUNCTION sim_daily_fold(uuid, jsonb, bigint, bigint) IS 'Figures of the equity at the end of each UTC day up to a seq, from those of an earlier one.';
