-- The only way to write ticks into the log. The argument is an array of chunks, at most one per session: the events of
-- one or more consecutive ticks. A chunk is written completely or not at all, and only if the session is running, the
-- caller has its present epoch, and the cursor is still the one from which the chunk was computed.
--
-- The row lock is held until commit, so seq order is commit order, and a rollback leaves no gap. A chunk with `pause`
-- also pauses the session, in the same transaction.
CREATE OR REPLACE FUNCTION sim_append_ticks(ticks jsonb)
RETURNS TABLE (tick bigint, session uuid, outcome text, last_seq bigint)
LANGUAGE plpgsql AS $$
DECLARE
  _locked uuid[];
  _ids uuid[];
  _outcomes text[];
  _last_seqs bigint[];
  _hints text;
  _paused uuid[];
  _pause_reasons text[];
BEGIN
  -- Lock the sessions that no other transaction has locked, in id order. The others answer `busy` and delay no one.
  SELECT coalesce(array_agg(s.id), '{}')
  INTO _locked
  FROM (
    SELECT s.id
    FROM sim_sessions s
    WHERE s.id IN (
      SELECT (c #>> '{}')::uuid
      FROM jsonb_path_query(sim_append_ticks.ticks, '$[*].session') c
    )
    ORDER BY s.id
    FOR NO KEY UPDATE SKIP LOCKED
  ) s;

  -- Decide the outcome of each chunk without its events: every step of the query would copy them.
  WITH sent AS (
    SELECT
      c.position,
      (c.chunk ->> 'session')::uuid AS id,
      (c.chunk ->> 'epoch')::bigint AS epoch,
      (c.chunk ->> 'prev')::bigint AS from_cursor,
      (c.chunk ->> 'cursor')::bigint AS to_cursor,
      c.chunk ->> 'pause' AS pause,
      c.chunk ->> 'hash' AS candles_hash,
      c.chunk ->> 'ticks' AS ticks,
      (c.chunk ->> 'bytes')::bigint AS bytes,
      jsonb_array_length(c.chunk -> 'events') AS events,
      c.chunk #>> '{events,-1,0}' AS last_ts
    FROM jsonb_array_elements(sim_append_ticks.ticks) WITH ORDINALITY AS c (chunk, position)
  ), judged AS (
    SELECT
      t.*,
      s.last_seq AS seq_before,
      s.last_ts AS ts_before,
      CASE
        WHEN s.id IS NULL THEN 'refused'
        WHEN row_number() OVER (PARTITION BY t.id ORDER BY t.position) > 1 THEN 'busy'
        WHEN s.id <> ALL (_locked) THEN 'busy'
        WHEN s.status <> 'running' THEN 'refused'
        WHEN s.epoch IS DISTINCT FROM t.epoch THEN 'refused'
        WHEN t.to_cursor <= s.cursor_ms THEN 'done'
        WHEN t.from_cursor IS DISTINCT FROM s.cursor_ms OR t.to_cursor IS NULL THEN 'refused'
        ELSE 'written'
      END AS outcome
    FROM sent t
    LEFT JOIN sim_sessions s ON s.id = t.id
  ), written AS (
    SELECT
      j.*,
      j.seq_before + j.events AS seq_after
    FROM judged j
    WHERE j.outcome = 'written'
  ), inserted AS (
    INSERT INTO sim_events (session_id, seq, ts, type, payload)
    SELECT
      w.id,
      w.seq_before + e.number,
      greatest((e.event ->> 0)::bigint, w.ts_before),
      e.event ->> 1,
      e.event -> 2
    FROM written w
    CROSS JOIN LATERAL jsonb_array_elements(
      sim_append_ticks.ticks #> ARRAY[(w.position - 1)::text, 'events']
    ) WITH ORDINALITY AS e (event, number)
  ), updated AS (
    UPDATE sim_sessions s
    SET
      last_seq = w.seq_after,
      log_bytes = s.log_bytes + coalesce(w.bytes, 0),
      last_ts = greatest(w.last_ts::bigint, s.last_ts),
      cursor_ms = w.to_cursor,
      steps_left = s.steps_left - coalesce(w.ticks::integer, 1),
      candles_hash = coalesce(w.candles_hash, s.candles_hash),
      updated_at = now()
    FROM written w
    WHERE s.id = w.id
    RETURNING s.id, s.last_seq
  )
  SELECT
    array_agg(j.id ORDER BY j.position),
    array_agg(j.outcome ORDER BY j.position),
    array_agg(coalesce(w.seq_after, j.seq_before) ORDER BY j.position),
    (SELECT string_agg(u.id || ':' || u.last_seq, E'\n') FROM updated u),
    array_agg(w.id) FILTER (WHERE w.pause IS NOT NULL),
    array_agg(w.pause) FILTER (WHERE w.pause IS NOT NULL)
  INTO _ids, _outcomes, _last_seqs, _hints, _paused, _pause_reasons
  FROM judged j
  LEFT JOIN written w USING (position);

  -- Postgres refuses payloads of 8,000 bytes: `*` stands for more sessions than that many bytes can name.
  PERFORM sim_notify('sim_events', CASE WHEN length(_hints) < 7900 THEN _hints ELSE '*' END)
  WHERE _hints IS NOT NULL;

  PERFORM sim_transition(p.id, '{running}', 'paused', p.reason, 'runner')
  FROM unnest(_paused, _pause_reasons) AS p (id, reason);

  RETURN QUERY
  SELECT o.position, o.id, o.outcome, o.last_seq
  FROM unnest(_ids, _outcomes, _last_seqs) WITH ORDINALITY AS o (id, outcome, last_seq, position);
END;
$$;

COMMENT ON FUNCTION sim_append_ticks(jsonb) IS 'Append chunks of ticks [{session, epoch, prev, cursor, events: [[ts, type, payload], ...]}, ...], one per session; returns for each written, done, refused or busy.';
