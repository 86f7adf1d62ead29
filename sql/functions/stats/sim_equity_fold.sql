-- Add the equity events in (after_seq, until_seq] to the figures of the events before them. All sums are exact, so the
-- result does not depend on how the log is split. A return needs an equity above zero before it. A drawdown lasts from
-- the last event at the peak to the first one that reaches it again, or to the end of the log; a peak between two
-- samples (`record: trades`) counts as at the later sample.
CREATE OR REPLACE FUNCTION sim_equity_fold(session uuid, figures jsonb, after_seq bigint, until_seq bigint)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET enable_sort = off
SET max_parallel_workers_per_gather = 0 AS $$
DECLARE
  _equity numeric := figures ->> 'equity';
  _peak numeric := figures ->> 'peak';
  _peak_ts bigint := figures ->> 'peakTs';
  _under boolean := coalesce(_equity < _peak, false);
  _period bigint; -- Since rule set 2 the first peak is the initial cash, at the open of the first candle.
  _new jsonb;
BEGIN
  SELECT coalesce(_equity, s.initial_cash), CASE WHEN s.rules > 1 AND _peak_ts IS NULL THEN timeframe_ms(s.timeframe) END
  INTO _equity, _period FROM sim_sessions s WHERE s.id = sim_equity_fold.session;

  WITH read AS (
    SELECT e.seq, e.ts, (e.payload -> 'equity')::numeric AS equity, (e.payload -> 'peakEquity')::numeric AS peak,
           (e.payload -> 'drawdownPct')::numeric AS pct, sim_stats_has_position(e.payload) AS held
    FROM sim_events e
    WHERE e.session_id = sim_equity_fold.session AND e.type = 'equity'
      AND e.seq > sim_equity_fold.after_seq AND e.seq <= sim_equity_fold.until_seq
  ), stepped AS (
    SELECT r.*, lag(r.equity, 1, _equity) OVER w AS before, lag(r.equity < r.peak, 1, _under) OVER w AS was_under,
           coalesce(lag(r.peak, 1, _peak) OVER w < r.peak, false) AS raised
    FROM read r WINDOW w AS (ORDER BY r.seq)
  ), walked AS (
    SELECT s.*, CASE WHEN s.before > 0 THEN (s.equity - s.before) / s.before END AS return,
           coalesce(max(s.ts) FILTER (WHERE s.raised OR s.equity = s.peak)
                    OVER (ORDER BY s.seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), _peak_ts,
                    min(s.ts) OVER () - _period) AS since
    FROM stepped s
  )
  SELECT jsonb_build_object(
    'events', count(*), 'held', count(*) FILTER (WHERE w.held), 'returns', count(w.return), 'sum', sum(w.return),
    'squares', sum(w.return * w.return), 'losses', sum(w.return * w.return) FILTER (WHERE w.return < 0),
    'maxFall', max(w.peak - w.equity), 'maxPct', max(w.pct),
    'maxUnder', max(w.ts - w.since) FILTER (WHERE w.was_under OR (w.equity < w.peak AND NOT w.raised)),
    'firstTs', min(w.ts), 'seq', max(w.seq),
    'peakTs', coalesce(max(w.ts) FILTER (WHERE w.raised OR w.equity = w.peak), min(w.ts) - _period)) INTO _new
  FROM walked w;

  RETURN figures
    || sim_stats_merge(
      figures, _new, '{events,held,returns,sum,squares,losses}', '{maxFall,maxPct,maxUnder,peakTs}')
    || jsonb_build_object('firstTs', coalesce(figures ->> 'firstTs', _new ->> 'firstTs')::bigint)
    || coalesce((SELECT jsonb_strip_nulls(jsonb_build_object('lastTs', e.ts, 'equity', e.payload -> 'equity',
                                           'peak', e.payload -> 'peakEquity', 'fees', e.payload -> 'feesPaid',
                                           'funding', e.payload -> 'fundingPaid',
                                           'interest', e.payload -> 'interestPaid'))
                 FROM sim_events e
                 WHERE e.session_id = sim_equity_fold.session AND e.seq = (_new ->> 'seq')::bigint), '{}');
END;
$$;

COMMENT ON FUNCTION sim_equity_fold(uuid, jsonb, bigint, bigint) IS 'Figures of the equity events up to a seq, from those of an earlier one.';
