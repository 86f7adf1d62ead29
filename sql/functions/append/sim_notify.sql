-- Notifications are hints: nothing depends on their arrival. SET zeon.notify = 'off' silences them for a role or a
-- database.
CREATE OR REPLACE FUNCTION sim_notify(channel text, payload text)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('zeon.notify', true) IS DISTINCT FROM 'off' THEN
    PERFORM pg_notify(sim_notify.channel, sim_notify.payload);
  END IF;
END;
$$;

COMMENT ON FUNCTION sim_notify(text, text) IS 'Send a hint on a channel, unless zeon.notify is off.';
