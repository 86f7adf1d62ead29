-- Statistics of a log up to a seq (null: all of it), also while the session runs; docs/statistics.md has each formula.
-- With next_state of an earlier result as state, or one in sim_kept, only newer events are read. An undefined figure is
-- null: nothing to divide by, too few events, less than a day to extrapolate to a year.
CREATE OR REPLACE FUNCTION sim_stats(session uuid, until_seq bigint DEFAULT NULL, state jsonb DEFAULT '{}')
RETURNS TABLE (
  seq bigint, from_ms bigint, to_ms bigint, periods_per_year numeric, initial_cash numeric, equity numeric,
  net_profit numeric, return_pct numeric, buy_and_hold_pct numeric, cagr_pct numeric, volatility_pct numeric,
  sharpe numeric, sortino numeric, calmar numeric, max_drawdown numeric, max_drawdown_pct numeric,
  max_drawdown_ms bigint, exposure_pct numeric, fees numeric, trades bigint, wins bigint, losses bigint,
  win_rate_pct numeric, profit_factor numeric, expectancy numeric, sqn numeric, avg_win numeric,
  avg_loss numeric, best_trade numeric, worst_trade numeric, win_streak bigint, loss_streak bigint,
  avg_hold_bars numeric, next_state jsonb
)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  _session sim_sessions;
  _state jsonb := sim_stats.state;
  _after bigint;
  _until bigint;
  _equity jsonb;
  _trades jsonb;
BEGIN
  SELECT * INTO _session FROM sim_sessions s WHERE s.id = sim_stats.session AND s.deleted_at IS NULL;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  IF _state = '{}' THEN
    SELECT k.state INTO _state
    FROM sim_kept k
    WHERE k.session_id = _session.id AND k.seq <= coalesce(sim_stats.until_seq, k.seq);
  END IF;
  _after := coalesce((_state ->> 'seq')::bigint, 0);
  _until := greatest(least(sim_stats.until_seq, _session.last_seq), _after);
  _equity := sim_equity_fold(_session.id, coalesce(_state -> 'equity', '{}'), _after, _until);
  _trades := sim_trade_fold(_session.id, coalesce(_state -> 'trades', '{}'), _after, _until);

  RETURN QUERY
  SELECT
    _until, e.from_ms, e.to_ms, sim_stats_round(e.periods_per_year), _session.initial_cash, e.equity,
    e.net_profit, sim_stats_round(e.return_pct),
    sim_stats_round(100 * sim_buy_and_hold(_session.id, _until, e.to_ms)), sim_stats_round(e.cagr_pct),
    sim_stats_round(e.volatility_pct), sim_stats_round(e.sharpe), sim_stats_round(e.sortino),
    sim_stats_round(e.calmar), e.max_drawdown, e.max_drawdown_pct, e.max_drawdown_ms,
    sim_stats_round(e.exposure_pct), e.fees, t.trades, t.wins, t.losses, sim_stats_round(t.win_rate_pct),
    sim_stats_round(t.profit_factor), sim_stats_round(t.expectancy), sim_stats_round(t.sqn),
    sim_stats_round(t.avg_win), sim_stats_round(t.avg_loss), t.best_trade, t.worst_trade, t.win_streak,
    t.loss_streak, sim_stats_round(t.avg_hold_bars),
    jsonb_build_object('seq', _until, 'equity', _equity, 'trades', _trades)
  FROM sim_equity_ratios(_session.initial_cash, timeframe_ms(_session.timeframe), _equity) e
  CROSS JOIN sim_trade_ratios(_trades) t;
END;
$$;

COMMENT ON FUNCTION sim_stats(uuid, bigint, jsonb) IS 'Statistics of a session up to a seq, by default of its whole log; with the next_state of an earlier result only newer events are read.';
