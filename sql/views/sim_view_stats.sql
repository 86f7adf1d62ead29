-- Statistics of sessions to read by eye: filter by session_id, each one is computed when it is read.
CREATE OR REPLACE VIEW sim_view_stats AS
SELECT s.id AS session_id, s.profile_slug, array_to_string(s.symbols, ' ') AS symbols, s.timeframe, s.status,
       to_timestamp(k.from_ms / 1000.0) AS starts, to_timestamp(k.to_ms / 1000.0) AS at, k.seq, k.initial_cash, k.equity,
       k.net_profit, k.return_pct, k.buy_and_hold_pct, k.cagr_pct, k.volatility_pct, k.sharpe, k.sortino, k.calmar,
       k.max_drawdown, k.max_drawdown_pct, k.max_drawdown_ms * interval '1 millisecond' AS max_drawdown_length,
       k.exposure_pct, k.fees, k.trades, k.wins, k.losses, k.win_rate_pct, k.profit_factor, k.expectancy, k.sqn, k.avg_win,
       k.avg_loss, k.best_trade, k.worst_trade, k.win_streak, k.loss_streak, k.avg_hold_bars, k.periods_per_year
FROM sim_sessions s CROSS JOIN LATERAL sim_stats(s.id) k
WHERE s.deleted_at IS NULL;

COMMENT ON VIEW sim_view_stats IS 'Statistics of sessions; filter by session_id.';
