-- One event as a text/event-stream frame.
CREATE OR REPLACE FUNCTION sim_frame(seq bigint, ts bigint, type text, payload jsonb)
RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT 'id: ' || sim_frame.seq || E'\ndata: {"seq":' || sim_frame.seq || ',"ts":' || sim_frame.ts || ',"type":"'
         || sim_frame.type || '","payload":' || sim_frame.payload::text || E'}\n\n';
$$;

COMMENT ON FUNCTION sim_frame(bigint, bigint, text, jsonb) IS 'One event as a text/event-stream frame.';
