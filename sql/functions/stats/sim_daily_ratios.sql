-- Figures of the daily returns, from those of sim_daily_fold, with the day that may go on as the last one. From an
-- equity at or below zero there is no return, so a session that continued from there has no risk ratios.
CREATE OR REPLACE FUNCTION sim_daily_ratios(days_per_year integer, figures jsonb)
RETURNS TABLE (volatility_pct numeric, sharpe numeric, sortino numeric)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  WITH last AS (
    SELECT (f.equity - f.base) / nullif(greatest(f.base, 0), 0) AS return
    FROM (SELECT (figures ->> 'equity')::numeric AS equity, (figures ->> 'base')::numeric AS base) f
  ), figure AS (
    SELECT (figures ->> 'returns')::numeric + 1 AS n,
           figures -> 'returns' = figures -> 'days' AND l.return IS NOT NULL AS solvent,
           coalesce((figures ->> 'sum')::numeric, 0) + l.return AS sum,
           coalesce((figures ->> 'squares')::numeric, 0) + l.return * l.return AS squares,
           coalesce((figures ->> 'losses')::numeric, 0) + least(l.return, 0) * least(l.return, 0) AS losses
    FROM last l
  ), spread AS (
    SELECT f.sum / f.n AS mean, sqrt(greatest(f.squares - f.sum * f.sum / f.n, 0) / nullif(f.n - 1, 0)) AS deviation,
           nullif(sqrt(f.losses / f.n), 0) AS downside, sqrt(sim_daily_ratios.days_per_year) AS root
    FROM figure f WHERE f.solvent
  )
  SELECT
    100 * s.deviation * s.root,
    s.mean / nullif(s.deviation, 0) * s.root,
    s.mean / s.downside * s.root
  FROM (SELECT) AS one LEFT JOIN spread s ON true;
$$;

COMMENT ON FUNCTION sim_daily_ratios(integer, jsonb) IS 'Volatility, Sharpe and Sortino of daily returns from the figures of sim_daily_fold; quotients unrounded.';
