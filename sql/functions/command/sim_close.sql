-- Close the position of a session in a symbol, or all its positions (null), with market orders.
CREATE OR REPLACE FUNCTION sim_close(session uuid, symbol text DEFAULT NULL)
RETURNS bigint
LANGUAGE sql AS $$
  SELECT sim_command(sim_close.session, 'close', jsonb_strip_nulls(jsonb_build_object('symbol', sim_close.symbol)));
$$;

COMMENT ON FUNCTION sim_close(uuid, text) IS 'Close the position in a symbol, or all positions of a session; returns the id of the command.';
