-- Add the trade events in (after_seq, until_seq] to the figures of the events before them. A streak is consecutive
-- trades that all won or all lost; `start` is the number of trades before the present streak.
CREATE OR REPLACE FUNCTION sim_trade_fold(session uuid, figures jsonb, after_seq bigint, until_seq bigint)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET enable_sort = off
SET max_parallel_workers_per_gather = 0 AS $$
DECLARE
  _trades bigint := coalesce((figures ->> 'trades')::bigint, 0);
  _start bigint := coalesce((figures ->> 'start')::bigint, 0);
  _sign integer := figures ->> 'sign';
  _new jsonb;
BEGIN
  WITH read AS (
    SELECT e.seq, (e.payload -> 'netPnl')::numeric AS pnl, sign((e.payload -> 'netPnl')::numeric)::integer AS sign,
           (e.payload -> 'holdBars')::bigint AS bars, _trades + row_number() OVER (ORDER BY e.seq) AS number
    FROM sim_events e
    WHERE e.session_id = sim_trade_fold.session AND e.type = 'trade'
      AND e.seq > sim_trade_fold.after_seq AND e.seq <= sim_trade_fold.until_seq
  ), turned AS (
    SELECT r.*,
           CASE WHEN r.sign IS DISTINCT FROM lag(r.sign, 1, _sign) OVER (ORDER BY r.seq) THEN r.number - 1 END AS turn
    FROM read r
  ), counted AS (
    SELECT t.*, coalesce(max(t.turn) OVER (ORDER BY t.seq), _start) AS start FROM turned t
  )
  SELECT jsonb_build_object(
    'trades', count(*), 'wins', count(*) FILTER (WHERE c.sign > 0), 'defeats', count(*) FILTER (WHERE c.sign < 0),
    'profit', sum(c.pnl) FILTER (WHERE c.sign > 0), 'loss', sum(-c.pnl) FILTER (WHERE c.sign < 0),
    'squares', sum(c.pnl * c.pnl), 'bars', sum(c.bars), 'best', max(c.pnl), 'worst', max(-c.pnl),
    'winStreak', max(c.number - c.start) FILTER (WHERE c.sign > 0),
    'lossStreak', max(c.number - c.start) FILTER (WHERE c.sign < 0),
    'start', max(c.start), 'sign', (array_agg(c.sign ORDER BY c.seq DESC))[1]) INTO _new
  FROM counted c;

  RETURN sim_stats_merge(
      figures, _new,
      '{trades,wins,defeats,profit,loss,squares,bars}', '{best,worst,winStreak,lossStreak,start}')
    || jsonb_build_object('sign', coalesce(nullif(_new -> 'sign', 'null'), figures -> 'sign'));
END;
$$;

COMMENT ON FUNCTION sim_trade_fold(uuid, jsonb, bigint, bigint) IS 'Figures of the trade events up to a seq, from those of an earlier one.';
