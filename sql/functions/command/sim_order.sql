-- Place an order in a session: {"side": "buy", "type": "market", "qty": 1}, in the names of the API. A living server
-- applies it after the commit; sim_view_orders shows what became of it, under the id returned here.
CREATE OR REPLACE FUNCTION sim_order(session uuid, request jsonb)
RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
  IF jsonb_typeof(sim_order.request) IS DISTINCT FROM 'object' THEN
    RAISE EXCEPTION 'request: must be a JSON object.' USING ERRCODE = 'ZN003';
  END IF;
  RETURN sim_command(sim_order.session, 'order', sim_order.request);
END;
$$;

COMMENT ON FUNCTION sim_order(uuid, jsonb) IS 'Place an order in a session; returns the id of the command.';
