-- Figures of the trades, from those of sim_trade_fold.
CREATE OR REPLACE FUNCTION sim_trade_ratios(figures jsonb)
RETURNS TABLE (
  trades bigint, wins bigint, losses bigint, win_rate_pct numeric, profit_factor numeric, expectancy numeric,
  sqn numeric, avg_win numeric, avg_loss numeric, best_trade numeric, worst_trade numeric,
  win_streak bigint, loss_streak bigint, avg_hold_bars numeric
)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  WITH figure AS (
    SELECT (figures ->> 'trades')::numeric AS trades, (figures ->> 'wins')::numeric AS wins,
           (figures ->> 'defeats')::numeric AS losses, (figures ->> 'profit')::numeric AS profit,
           (figures ->> 'loss')::numeric AS loss, (figures ->> 'squares')::numeric AS squares,
           (figures ->> 'bars')::numeric AS bars, nullif((figures ->> 'trades')::numeric, 0) AS n
  ), spread AS (
    SELECT s.*, (s.profit - s.loss) / s.n AS mean,
           sqrt(greatest(s.squares - (s.profit - s.loss) * (s.profit - s.loss) / s.n, 0) / nullif(s.n - 1, 0)) AS deviation
    FROM figure s
  )
  SELECT
    s.trades::bigint,
    s.wins::bigint,
    s.losses::bigint,
    100 * s.wins / s.n,
    s.profit / nullif(s.loss, 0),
    s.mean,
    sqrt(s.n) * s.mean / nullif(s.deviation, 0),
    s.profit / nullif(s.wins, 0),
    -s.loss / nullif(s.losses, 0),
    (figures ->> 'best')::numeric,
    -(figures ->> 'worst')::numeric,
    CASE WHEN s.n > 0 THEN coalesce((figures ->> 'winStreak')::bigint, 0) END,
    CASE WHEN s.n > 0 THEN coalesce((figures ->> 'lossStreak')::bigint, 0) END,
    s.bars / s.n
  FROM spread s;
$$;

COMMENT ON FUNCTION sim_trade_ratios(jsonb) IS 'Counts, ratios and streaks from the figures of sim_trade_fold; quotients unrounded.';
