-- Claim, take over, pause or fail one running session that no living process runs. The caller has locked its row.
CREATE OR REPLACE FUNCTION sim_claim_orphan(orphan sim_sessions, runner text, incarnation bigint, resume boolean)
RETURNS TABLE (session uuid, status text, reason text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  _max_takeovers CONSTANT integer := 3;
  _known boolean;
  _takeovers integer := 1;
  _to_status text;
  _reason text;
  _error text;
BEGIN
  -- Takeovers are counted per cursor: if the cursor has moved since the last takeover, the count starts at 1 again.
  IF orphan.cursor_ms IS NOT DISTINCT FROM orphan.takeover_cursor_ms THEN
    _takeovers := orphan.takeovers + 1;
  END IF;

  SELECT sim_knows(r.strategies, sim_used_profiles(orphan)) INTO _known
  FROM sim_runners r
  WHERE r.name = sim_claim_orphan.runner;

  IF NOT _known AND (orphan.runner IS NULL OR sim_claim_orphan.resume) THEN
    _to_status := 'paused';
    _reason := 'profile unknown';
    _error := format('No living server knows the profile %s; start one that does, then resume.', orphan.profile_slug);
  ELSIF orphan.runner IS NULL THEN
    _to_status := 'running';
    _reason := 'claimed';
  ELSIF NOT sim_claim_orphan.resume THEN
    _to_status := 'paused';
    _reason := 'runner lost';
  ELSIF _takeovers > _max_takeovers THEN
    _to_status := 'failed';
    _reason := 'crash loop';
    _error := 'crash loop: three processes died before the next candle';
  ELSE
    _to_status := 'running';
    _reason := 'taken over';
    UPDATE sim_sessions s
    SET takeovers = _takeovers, takeover_cursor_ms = orphan.cursor_ms
    WHERE s.id = orphan.id;
  END IF;

  PERFORM sim_transition(
    session => orphan.id,
    from_status => '{running}',
    to_status => _to_status,
    reason => _reason,
    by => sim_claim_orphan.runner,
    runner => CASE _to_status WHEN 'running' THEN sim_claim_orphan.runner END,
    incarnation => CASE _to_status WHEN 'running' THEN sim_claim_orphan.incarnation END,
    error => _error);
  RETURN QUERY SELECT orphan.id, _to_status, _reason;
END;
$$;

COMMENT ON FUNCTION sim_claim_orphan(sim_sessions, text, bigint, boolean) IS 'Claim, take over, pause or fail one session for sim_claim_orphans; returns its new status and the reason.';
