-- The only way ticks get in. A tick is written whole or not at all, only for a running session, only by the
-- runner whose epoch the row names, only right after the cursor the tick was computed from. The row lock is
-- held to commit, so seq order is commit order and a rollback leaves no hole. A tick with `pause` takes the session
-- to paused in the same transaction; one in which several were joined counts as `ticks` of them.
CREATE OR REPLACE FUNCTION sim_append_ticks(ticks jsonb)
RETURNS TABLE (tick bigint, session uuid, outcome text, last_seq bigint) LANGUAGE plpgsql SET enable_sort = on AS $$
DECLARE
  _locked uuid[]; _ids uuid[]; _outcomes text[]; _seqs bigint[]; _hints text; _ended uuid[]; _reasons text[];
BEGIN
  -- Lock the sessions that are free, in id order; one that is held answers busy and delays nobody else.
  SELECT coalesce(array_agg(free.id), '{}') INTO _locked FROM (SELECT s.id FROM sim_sessions s
    WHERE s.id IN (SELECT (t #>> '{}')::uuid FROM jsonb_path_query(sim_append_ticks.ticks, '$[*].session') t)
    ORDER BY s.id FOR NO KEY UPDATE SKIP LOCKED) free;

  -- Judge the ticks without their events, which would be copied at every step.
  WITH sent AS (
    SELECT ord, (t ->> 'session')::uuid AS id, (t ->> 'epoch')::bigint AS epoch, (t ->> 'prev')::bigint AS prev,
           (t ->> 'cursor')::bigint AS new_cursor, t ->> 'pause' AS pause, t ->> 'hash' AS hash, t ->> 'ticks' AS joined,
           jsonb_array_length(t -> 'events') AS n, t #>> '{events,-1,0}' AS ts
    FROM jsonb_array_elements(sim_append_ticks.ticks) WITH ORDINALITY AS x (t, ord)), compared AS (
    SELECT sent.*, s.cursor_ms, s.last_seq AS base, s.last_ts, s.id = ANY (_locked) AS free,
           s.status = 'running' AND s.epoch = sent.epoch AS fenced,
           coalesce(sent.new_cursor <= s.cursor_ms, false) AS passed,
           greatest(s.cursor_ms, lag(sent.new_cursor) OVER (PARTITION BY sent.id, sent.epoch ORDER BY ord)) AS expected
    FROM sent LEFT JOIN sim_sessions s ON s.id = sent.id), judged AS (
    SELECT c.*, CASE WHEN c.fenced IS NULL THEN 'refused' WHEN NOT c.free THEN 'busy' WHEN NOT c.fenced THEN 'refused'
                     WHEN c.passed THEN 'done'
                     WHEN bool_and(c.passed OR (c.prev IS NOT DISTINCT FROM c.expected
                                                AND c.new_cursor > coalesce(c.prev, c.new_cursor - 1)))
                          OVER (PARTITION BY c.id, c.epoch ORDER BY c.ord) THEN 'written' ELSE 'refused' END AS outcome
    FROM compared c), written AS (
    SELECT j.*, j.base + sum(j.n) OVER (PARTITION BY j.id, j.epoch ORDER BY j.ord) AS top
    FROM judged j WHERE j.outcome = 'written'
  ), events AS (
    INSERT INTO sim_events (session_id, seq, ts, type, payload)
    SELECT w.id, w.top - w.n + e.ord, greatest((e.v ->> 0)::bigint, w.last_ts), e.v ->> 1, e.v -> 2
    FROM written w CROSS JOIN LATERAL jsonb_array_elements(
      sim_append_ticks.ticks #> ARRAY[(w.ord - 1)::text, 'events']) WITH ORDINALITY AS e (v, ord)
  ), moved AS (
    UPDATE sim_sessions s
    SET last_seq = m.top, cursor_ms = m.new_cursor, last_ts = greatest(m.ts, s.last_ts),
        steps_left = s.steps_left - m.ticks, candles_hash = coalesce(m.hash, s.candles_hash), updated_at = now()
    FROM (SELECT w.id, max(w.top) AS top, max(w.new_cursor) AS new_cursor, sum(coalesce(w.joined::integer, 1)) AS ticks,
                 max(w.hash) AS hash, max(w.ts::bigint) AS ts FROM written w GROUP BY w.id) m
    WHERE s.id = m.id RETURNING s.id, s.last_seq
  )
  SELECT array_agg(j.id ORDER BY j.ord), array_agg(j.outcome ORDER BY j.ord),
         array_agg(coalesce(w.top, j.base)::bigint ORDER BY j.ord),
         (SELECT string_agg(m.id || ':' || m.last_seq, E'\n') FROM moved m),
         array_agg(w.id) FILTER (WHERE w.pause IS NOT NULL), array_agg(w.pause) FILTER (WHERE w.pause IS NOT NULL)
  INTO _ids, _outcomes, _seqs, _hints, _ended, _reasons FROM judged j LEFT JOIN written w USING (ord);

  PERFORM sim_notify('sim_events', CASE WHEN length(_hints) < 7900 THEN _hints ELSE '*' END) WHERE _hints IS NOT NULL;
  PERFORM sim_transition(e.id, '{running}', 'paused', e.reason, 'runner') FROM unnest(_ended, _reasons) AS e (id, reason);
  RETURN QUERY SELECT a.ord, a.id, a.outcome, a.seq
    FROM unnest(_ids, _outcomes, _seqs) WITH ORDINALITY AS a (id, outcome, seq, ord);
END;
$$;

COMMENT ON FUNCTION sim_append_ticks(jsonb) IS 'Append ticks [{session, epoch, prev, cursor, events: [[ts, type, payload], ...]}, ...]; answers each with written, done, refused or busy.';
