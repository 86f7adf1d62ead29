-- Whether an event names a command: an order, a cancellation or a closing from outside, with its number in the session.
CREATE OR REPLACE FUNCTION sim_is_command(type text, payload jsonb)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT sim_is_command.type = 'control'
    AND sim_is_command.payload ->> 'action' IN ('order', 'cancel', 'close')
    AND sim_is_command.payload ? 'command';
$$;

COMMENT ON FUNCTION sim_is_command(text, jsonb) IS 'Whether an event names a command: an order, a cancellation or a closing from outside.';
