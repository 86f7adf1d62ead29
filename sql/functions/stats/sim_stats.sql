-- Statistics of a log up to a seq (null: all of it), also while the session runs; docs/statistics.md has each formula.
-- With next_state of an earlier result as state, or one in sim_kept, only newer events are read. An undefined figure is
-- null: nothing to divide by, too few events, less than a day to extrapolate to a year.
CREATE OR REPLACE FUNCTION sim_stats(session uuid, until_seq bigint DEFAULT NULL, state jsonb DEFAULT '{}')
RETURNS TABLE (
  seq bigint, from_ms bigint, to_ms bigint, periods_per_year numeric, initial_cash numeric, equity numeric,
  net_profit numeric, return_pct numeric, buy_and_hold_pct numeric, cagr_pct numeric, volatility_pct numeric,
  sharpe numeric, sortino numeric, daily_volatility_pct numeric, daily_sharpe numeric, daily_sortino numeric,
  calmar numeric, max_drawdown numeric, max_drawdown_pct numeric, max_drawdown_ms bigint, exposure_pct numeric,
  fees numeric, funding numeric, interest numeric, trades bigint, wins bigint, losses bigint, win_rate_pct numeric,
  profit_factor numeric, expectancy numeric, sqn numeric, avg_win numeric, avg_loss numeric, best_trade numeric,
  worst_trade numeric, win_streak bigint, loss_streak bigint, avg_hold_bars numeric, next_state jsonb
)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  _session sim_sessions;
  _state jsonb := coalesce(nullif(sim_stats.state, '{}'), sim_kept_state(sim_stats.session, sim_stats.until_seq), '{}');
  _after bigint := coalesce((_state ->> 'seq')::bigint, 0);
  _until bigint;
  _equity jsonb;
  _daily jsonb := coalesce(_state -> 'daily', '{}');
  _only_daily boolean; -- Since rule set 2 the samples of `record: trades` count as days.
  _trades jsonb;
BEGIN
  SELECT * INTO _session FROM sim_sessions s WHERE s.id = sim_stats.session AND s.deleted_at IS NULL;
  IF NOT FOUND THEN RETURN; END IF;
  _until := greatest(least(sim_stats.until_seq, _session.last_seq), _after);
  _equity := sim_equity_fold(_session.id, coalesce(_state -> 'equity', '{}'), _after, _until);
  IF _equity -> 'events' IS DISTINCT FROM coalesce(_state #> '{equity,events}', '0') THEN
    _daily := sim_daily_fold(_session.id, _daily, _after, _until);
  END IF;
  _only_daily := _session.record = 'trades' AND _session.rules > 1;
  _trades := sim_trade_fold(_session.id, coalesce(_state -> 'trades', '{}'), _after, _until);

  RETURN QUERY
  SELECT
    _until, e.from_ms, e.to_ms, sim_stats_round(r.periods_per_year), _session.initial_cash, e.equity,
    e.net_profit, sim_stats_round(e.return_pct),
    sim_stats_round(100 * sim_buy_and_hold(_session.id, _until, e.to_ms)), sim_stats_round(e.cagr_pct),
    sim_stats_round(r.volatility_pct), sim_stats_round(r.sharpe), sim_stats_round(r.sortino),
    sim_stats_round(d.volatility_pct), sim_stats_round(d.sharpe), sim_stats_round(d.sortino),
    sim_stats_round(e.calmar), e.max_drawdown, e.max_drawdown_pct, e.max_drawdown_ms,
    sim_stats_round(e.exposure_pct), e.fees, e.funding, e.interest, t.trades, t.wins, t.losses,
    sim_stats_round(t.win_rate_pct), sim_stats_round(t.profit_factor), sim_stats_round(t.expectancy),
    sim_stats_round(t.sqn), sim_stats_round(t.avg_win), sim_stats_round(t.avg_loss), t.best_trade,
    t.worst_trade, t.win_streak, t.loss_streak, sim_stats_round(t.avg_hold_bars), jsonb_build_object(
      'seq', _until, 'equity', _equity, 'daily', _daily, 'trades', _trades)
  FROM sim_equity_ratios(_session.initial_cash, timeframe_ms(_session.timeframe), _equity) e
  CROSS JOIN sim_daily_ratios(_session.days_per_year, _daily) d
  CROSS JOIN LATERAL (
    SELECT e.periods_per_year, e.volatility_pct, e.sharpe, e.sortino WHERE NOT _only_daily
    UNION ALL SELECT CASE WHEN e.equity IS NOT NULL THEN _session.days_per_year END, d.volatility_pct, d.sharpe, d.sortino
    WHERE _only_daily) r
  CROSS JOIN sim_trade_ratios(_trades) t;
END;
$$;

COMMENT ON FUNCTION sim_stats(uuid, bigint, jsonb) IS 'Statistics of a session up to a seq, by default of its whole log; with the next_state of an earlier result only newer events are read.';
