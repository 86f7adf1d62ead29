-- Figures of the equity curve, from those of sim_equity_fold. Years count from the open of the first candle to the last
-- equity event; periods per year are the number of returns per year: closed markets and gaps have none. From an equity
-- at or below zero there is no return, so a session that continued from there has no risk ratios.
CREATE OR REPLACE FUNCTION sim_equity_ratios(initial_cash numeric, period_ms bigint, figures jsonb)
RETURNS TABLE (
  from_ms bigint, to_ms bigint, periods_per_year numeric, equity numeric, net_profit numeric, return_pct numeric,
  cagr_pct numeric, volatility_pct numeric, sharpe numeric, sortino numeric, calmar numeric, max_drawdown numeric,
  max_drawdown_pct numeric, max_drawdown_ms bigint, exposure_pct numeric, fees numeric,
  funding numeric, interest numeric
)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  WITH figure AS (
    SELECT (figures ->> 'events')::bigint AS events, (figures ->> 'held')::numeric AS held,
           nullif((figures ->> 'returns')::numeric, 0) AS n, figures -> 'returns' = figures -> 'events' AS solvent,
           (figures ->> 'sum')::numeric AS sum,
           (figures ->> 'squares')::numeric AS squares, (figures ->> 'losses')::numeric AS losses,
           (figures ->> 'equity')::numeric AS equity, (figures ->> 'maxPct')::numeric AS max_pct,
           (figures ->> 'firstTs')::bigint - period_ms AS from_ms, (figures ->> 'lastTs')::bigint AS to_ms
  ), years AS (
    SELECT s.*, (s.to_ms - s.from_ms) / (365.25 * 86400000) AS years, s.sum / s.n AS mean,
           CASE WHEN s.solvent
                THEN sqrt(greatest(s.squares - s.sum * s.sum / s.n, 0) / nullif(s.n - 1, 0)) END AS deviation,
           CASE WHEN s.solvent THEN nullif(sqrt(s.losses / s.n), 0) END AS downside
    FROM figure s
  ), scaled AS (
    SELECT y.*, y.n / y.years AS per_year, sqrt(y.n / y.years) AS root,
           CASE WHEN y.equity > 0 AND y.to_ms - y.from_ms >= 86400000 AND ln(y.equity / initial_cash) / y.years < 200
                THEN exp(ln(y.equity / initial_cash) / y.years) - 1
                WHEN y.equity = 0 AND y.to_ms - y.from_ms >= 86400000 THEN -1 END AS cagr
    FROM years y
  )
  SELECT
    s.from_ms,
    s.to_ms,
    s.per_year,
    s.equity,
    s.equity - initial_cash,
    100 * (s.equity - initial_cash) / initial_cash,
    100 * s.cagr,
    100 * s.deviation * s.root,
    s.mean / nullif(s.deviation, 0) * s.root,
    s.mean / s.downside * s.root,
    100 * s.cagr / nullif(s.max_pct, 0),
    (figures ->> 'maxFall')::numeric,
    s.max_pct,
    CASE WHEN s.events > 0 THEN coalesce((figures ->> 'maxUnder')::bigint, 0) END,
    100 * s.held / nullif(s.events, 0),
    (figures ->> 'fees')::numeric,
    CASE WHEN s.events > 0 THEN coalesce((figures ->> 'funding')::numeric, 0) END,
    CASE WHEN s.events > 0 THEN coalesce((figures ->> 'interest')::numeric, 0) END
  FROM scaled s;
$$;

COMMENT ON FUNCTION sim_equity_ratios(numeric, bigint, jsonb) IS 'Return, risk and drawdown from the figures of sim_equity_fold; quotients unrounded.';
