-- One event as a text/event-stream frame of the market dialect: candles and statuses only, null for all other types.
CREATE OR REPLACE FUNCTION market_frame(session uuid, seq bigint, type text, payload jsonb)
RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT 'id: ' || market_frame.seq || E'\ndata: {"type":"' || CASE market_frame.type
    WHEN 'candle' THEN
      'candle","sessionId":"' || market_frame.session
      || '","symbol":' || (market_frame.payload -> 'symbol')::text
      || ',"timeframe":' || (market_frame.payload -> 'timeframe')::text
      || ',"candle":' || (market_frame.payload -> 'candle')::text
    WHEN 'status' THEN
      'session_status","sessionId":"' || market_frame.session
      || '","status":"' || market_status(market_frame.payload ->> 'status')
      || '","cursorMs":' || (market_frame.payload -> 'cursorMs')::text
    END || E'}\n\n';
$$;

COMMENT ON FUNCTION market_frame(uuid, bigint, text, jsonb) IS 'One event as a text/event-stream frame of the market dialect.';
