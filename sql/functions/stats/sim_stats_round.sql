-- Round a quotient to 10 decimals, half to even, without trailing zeros. A tie divided by 2 is no longer a tie: round()
-- goes to the nearer side, and twice the result is the even neighbour.
CREATE OR REPLACE FUNCTION sim_stats_round(value numeric)
RETURNS numeric
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT trim_scale(CASE WHEN abs(value - trunc(value, 10)) = 0.00000000005 THEN 2 * round(value * 0.5, 10)
                         ELSE round(value, 10) END);
$$;

COMMENT ON FUNCTION sim_stats_round(numeric) IS 'A quotient rounded to 10 decimals, half to even.';
