-- What a user keeps: sessions, their events, and about how many bytes these take. 180 bytes are a row and its entries in
-- the indexes, without the payload.
CREATE OR REPLACE FUNCTION sim_usage(user_id text)
RETURNS TABLE (sessions bigint, events bigint, bytes bigint)
LANGUAGE sql STABLE AS $$
  SELECT count(*), coalesce(sum(s.last_seq), 0)::bigint, coalesce(sum(s.log_bytes + 180 * s.last_seq), 0)::bigint
  FROM sim_sessions s
  WHERE s.user_id = sim_usage.user_id;
$$;

COMMENT ON FUNCTION sim_usage(text) IS 'Sessions, events and about how many bytes a user keeps; the quotas count these.';
