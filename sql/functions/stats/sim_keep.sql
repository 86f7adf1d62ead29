-- Keep what is computed from the next events of a log: the state of its statistics, its curve, and which types it has.
-- One call takes at most max_events, so that none takes long: repeat it until it returns the same seq again. It ends with
-- a whole part of the curve, so that up to 499 events at the end of a log are not kept.
CREATE OR REPLACE FUNCTION sim_keep(session uuid, max_events bigint DEFAULT 100000)
RETURNS bigint
LANGUAGE plpgsql
SET enable_sort = off
SET enable_bitmapscan = off
SET max_parallel_workers_per_gather = 0 AS $$
DECLARE
  _part_events CONSTANT bigint := 500;
  _kept sim_kept;
  _after bigint;
  _until bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(sim_lock_key('kept', sim_keep.session::text));
  SELECT k.* INTO _kept FROM sim_kept k WHERE k.session_id = sim_keep.session;
  _after := coalesce(_kept.seq, 0);
  SELECT least(s.last_seq + 1, _after + 1 + greatest(sim_keep.max_events, _part_events)) / _part_events * _part_events - 1
  INTO _until
  FROM sim_sessions s
  WHERE s.id = sim_keep.session AND s.deleted_at IS NULL
  FOR KEY SHARE;
  IF _until IS NULL OR _until <= _after THEN
    RETURN _after;
  END IF;

  INSERT INTO sim_kept_curve (session_id, part, first_seq, last_seq, low, low_seq, high, high_seq)
  SELECT sim_keep.session, c.part, c.first, c.last, c.low[1], c.low[2]::bigint, c.high[1], -c.high[2]::bigint
  FROM sim_curve_parts(sim_keep.session, _after, _until, _part_events) c;

  INSERT INTO sim_kept AS k (session_id, seq, state, types)
  SELECT sim_keep.session, _until, s.next_state, coalesce(_kept.types, '{}') || coalesce((
    SELECT jsonb_object_agg(t.type, t.last_seq)
    FROM (
      SELECT e.type, max(e.seq) AS last_seq
      FROM sim_events e
      WHERE e.session_id = sim_keep.session AND e.seq > _after AND e.seq <= _until
      GROUP BY e.type) t), '{}')
  FROM sim_stats(sim_keep.session, until_seq => _until, state => coalesce(_kept.state, '{}')) s
  ON CONFLICT (session_id) DO UPDATE
  SET seq = excluded.seq, state = excluded.state, types = excluded.types;
  RETURN _until;
END;
$$;

COMMENT ON FUNCTION sim_keep(uuid, bigint) IS 'Keep what is computed from the next events of a long log; returns up to which seq it is kept.';
