-- How quotients are spelled everywhere: 10 decimals, half to even, no trailing zeros. 2 * round(value / 2) breaks a tie
-- to the even side, since a tie's half is a quarter away from it.
CREATE OR REPLACE FUNCTION sim_rounded(value numeric)
RETURNS numeric LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT trim_scale(CASE WHEN abs(value - trunc(value, 10)) = 0.00000000005 THEN 2 * round(value * 0.5, 10)
                         ELSE round(value, 10) END);
$$;

COMMENT ON FUNCTION sim_rounded(numeric) IS 'A quotient rounded to 10 decimals, half to even.';
