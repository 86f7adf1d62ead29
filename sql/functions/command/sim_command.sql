-- Put a command on its way, in psql: a living server applies it after the commit. sim_order, sim_cancel and sim_close
-- call this. Without a living server it is refused (ZN004), because nobody would apply it.
CREATE OR REPLACE FUNCTION sim_command(session uuid, action text, args jsonb)
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  _row sim_sessions;
  _id bigint;
BEGIN
  SELECT s.* INTO _row
  FROM sim_sessions s
  WHERE s.id = sim_command.session AND s.deleted_at IS NULL;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'There is no session %.', sim_command.session USING ERRCODE = 'ZN001';
  END IF;
  IF _row.status NOT IN ('created', 'running', 'paused') THEN
    RAISE EXCEPTION 'The session is %; it takes no orders.', _row.status USING ERRCODE = 'ZN002';
  END IF;
  IF NOT EXISTS (SELECT FROM sim_runners r WHERE r.seen_at + r.ttl > clock_timestamp()) THEN
    RAISE EXCEPTION 'No server process is alive to apply the command.'
    USING ERRCODE = 'ZN004', HINT = 'Start one with `zeon serve`.';
  END IF;

  INSERT INTO sim_commands (session_id, user_id, action, args, client_order_id)
  VALUES (_row.id, _row.user_id, sim_command.action, sim_command.args, sim_command.args ->> 'clientOrderId')
  ON CONFLICT DO NOTHING
  RETURNING id INTO _id;
  IF _id IS NULL THEN
    RAISE EXCEPTION 'clientOrderId: an order of this session has % already.', sim_command.args ->> 'clientOrderId'
    USING ERRCODE = 'ZN002', HINT = 'Choose another one.';
  END IF;
  PERFORM sim_notify('sim_control', _row.id || ':command');
  RETURN _id;
END;
$$;

COMMENT ON FUNCTION sim_command(uuid, text, jsonb) IS 'Put a command on its way to the server that applies it; used by sim_order, sim_cancel and sim_close.';
