-- One living process looks after sessions nobody runs: it claims those up for a claim, and what a dead process left
-- it takes over (resume) or pauses. Three takeovers without a new tick make a session failed. Never its own ones; and
-- for one ttl after Postgres started nobody is judged by silence, since nobody could be heard. Its own row is held to
-- the end: a process that leaves waits for what it is claiming, and one that has left claims nothing. Servers switch
-- sorts off for what they read of logs; here a few of all sessions are put in order.
CREATE OR REPLACE FUNCTION sim_sweep(runner text, incarnation bigint, resume boolean, max_rows integer)
RETURNS TABLE (session uuid, status text, reason text) LANGUAGE plpgsql SET enable_sort = on AS $$
#variable_conflict use_column
DECLARE
  _row sim_sessions;
  _to text;
  _reason text;
BEGIN
  PERFORM FROM sim_runners r
  WHERE r.name = sim_sweep.runner AND r.incarnation = sim_sweep.incarnation FOR KEY SHARE;
  IF NOT FOUND THEN
    RETURN;
  END IF;

  FOR _row IN
    SELECT s.* FROM sim_sessions s
    WHERE s.status = 'running' AND NOT EXISTS (
      SELECT FROM sim_runners r
      WHERE r.name = s.runner AND r.incarnation = s.incarnation
        AND (greatest(r.seen_at, pg_postmaster_start_time()) + r.ttl > clock_timestamp() OR r.name = sim_sweep.runner))
    ORDER BY s.id LIMIT sim_sweep.max_rows FOR NO KEY UPDATE SKIP LOCKED
  LOOP
    _to := 'running';
    _reason := 'claimed';
    IF _row.runner IS NOT NULL THEN
      _reason := CASE WHEN sim_sweep.resume THEN 'taken over' ELSE 'runner lost' END;
      _row.takeovers := CASE WHEN _row.cursor_ms IS DISTINCT FROM _row.takeover_cursor_ms THEN 1 ELSE _row.takeovers + 1 END;
      IF NOT sim_sweep.resume THEN
        _to := 'paused';
      ELSIF _row.takeovers > 3 THEN
        _to := 'failed';
        _reason := 'crash loop';
      ELSE
        UPDATE sim_sessions s SET takeovers = _row.takeovers, takeover_cursor_ms = _row.cursor_ms WHERE s.id = _row.id;
      END IF;
    END IF;

    PERFORM sim_transition(_row.id, '{running}', _to, _reason, sim_sweep.runner,
      CASE _to WHEN 'running' THEN sim_sweep.runner END, CASE _to WHEN 'running' THEN sim_sweep.incarnation END,
      error => CASE _to WHEN 'failed' THEN 'crash loop: three processes died before the next candle' END);
    session := _row.id;
    status := _to;
    reason := _reason;
    RETURN NEXT;
  END LOOP;
END;
$$;

COMMENT ON FUNCTION sim_sweep(text, bigint, boolean, integer) IS 'Claim, take over or pause running sessions that no living process runs; answers what became of each.';
