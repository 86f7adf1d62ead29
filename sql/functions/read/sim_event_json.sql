-- One event as a JSON object.
CREATE OR REPLACE FUNCTION sim_event_json(seq bigint, ts bigint, type text, payload jsonb)
RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT '{"seq":' || sim_event_json.seq || ',"ts":' || sim_event_json.ts || ',"type":"' || sim_event_json.type
         || '","payload":' || sim_event_json.payload::text || '}';
$$;

COMMENT ON FUNCTION sim_event_json(bigint, bigint, text, jsonb) IS 'One event as a JSON object, as text.';
