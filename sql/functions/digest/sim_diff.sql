-- The first position at which the simulated events of two logs differ (status, control and note are ignored). No row if
-- they are equal. The logs are compared piece by piece, the first ones short, so that an early difference is found at
-- once.
CREATE OR REPLACE FUNCTION sim_diff(a uuid, b uuid)
RETURNS TABLE (place bigint, seq_a bigint, seq_b bigint, event_a jsonb, event_b jsonb)
LANGUAGE plpgsql STABLE
SET enable_sort = off AS $$
#variable_conflict use_column
DECLARE
  _rows bigint := 100;
  _places bigint := 0;
  _after_a bigint := 0;
  _after_b bigint := 0;
  _read bigint;
BEGIN
  LOOP
    RETURN QUERY
    SELECT _places + p.place, p.seq_a, p.seq_b, p.event_a, p.event_b
    FROM sim_diff_piece(sim_diff.a, sim_diff.b, _after_a, _after_b, _rows) p;
    EXIT WHEN FOUND;

    SELECT count(*), max(e.seq) INTO _read, _after_a
    FROM (
      SELECT e.seq FROM sim_events e
      WHERE e.session_id = sim_diff.a AND e.seq > _after_a AND sim_is_simulated(e.type)
      ORDER BY e.seq
      LIMIT _rows) e;
    EXIT WHEN _read < _rows;
    _after_b := sim_simulated_seq(sim_diff.b, number => _rows, after_seq => _after_b);
    _places := _places + _rows;
    _rows := least(4 * _rows, 50000);
  END LOOP;
END;
$$;

COMMENT ON FUNCTION sim_diff(uuid, uuid) IS 'First position at which two logs differ: both seqs and both events, null if a log has ended.';
