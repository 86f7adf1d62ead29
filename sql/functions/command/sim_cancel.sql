-- Cancel an open order of a session, or all of them (null).
CREATE OR REPLACE FUNCTION sim_cancel(session uuid, order_id bigint DEFAULT NULL)
RETURNS bigint
LANGUAGE sql AS $$
  SELECT sim_command(
    sim_cancel.session, 'cancel', jsonb_strip_nulls(jsonb_build_object('orderId', sim_cancel.order_id)));
$$;

COMMENT ON FUNCTION sim_cancel(uuid, bigint) IS 'Cancel an open order, or all open orders of a session; returns the id of the command.';
