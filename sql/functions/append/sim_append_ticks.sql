-- The only way to write ticks and commands into the log. The argument is an array of chunks, at most one per session:
-- the events of one or more consecutive ticks, or of one command, which leaves the cursor where it is. A chunk is
-- written completely or not at all, and only if the caller has the session's present epoch, and cursor and number of
-- commands are still those from which the chunk was computed. A command carries that number plus one, and is answered
-- in the same transaction. Ticks need a running session; commands may also be written while it is created or paused.
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
  _open_commands bigint[];
  _answered bigint[];
  _answered_seqs bigint[];
  _answers jsonb[];
  _paused uuid[];
  _pause_reasons text[];
BEGIN
  -- Lock the sessions that no other transaction has locked, in id order. The others answer `busy` and delay no one.
  SELECT coalesce(array_agg(locked.id), '{}')
  INTO _locked
  FROM (
    SELECT session.id
    FROM sim_sessions session
    WHERE session.id IN (
      SELECT (chunk_session #>> '{}')::uuid
      FROM jsonb_path_query(sim_append_ticks.ticks, '$[*].session') chunk_session
    )
    ORDER BY session.id
    FOR NO KEY UPDATE SKIP LOCKED
  ) locked;

  -- Lock the unanswered commands: one that was answered meanwhile, for example with a refusal, is not applied.
  SELECT coalesce(array_agg(locked.id), '{}')
  INTO _open_commands
  FROM (
    SELECT command.id
    FROM sim_commands command
    WHERE command.answer IS NULL AND command.id IN (
      SELECT (chunk_command #>> '{}')::bigint
      FROM jsonb_path_query(sim_append_ticks.ticks, '$[*].command') chunk_command
    )
    ORDER BY command.id
    FOR UPDATE
  ) locked;

  -- Decide the outcome of each chunk without its events: every step of the query would copy them.
  WITH sent AS (
    SELECT
      chunk.position,
      (chunk.body ->> 'session')::uuid AS id,
      (chunk.body ->> 'epoch')::bigint AS epoch,
      (chunk.body ->> 'prev')::bigint AS from_cursor,
      (chunk.body ->> 'cursor')::bigint AS to_cursor,
      coalesce((chunk.body ->> 'commands')::bigint, 0) AS commands,
      (chunk.body ->> 'command')::bigint AS command,
      chunk.body -> 'answer' AS answer,
      chunk.body ->> 'pause' AS pause,
      chunk.body ->> 'hash' AS candles_hash,
      chunk.body ->> 'ticks' AS ticks,
      (chunk.body ->> 'bytes')::bigint AS bytes,
      jsonb_array_length(chunk.body -> 'events') AS events,
      chunk.body #>> '{events,-1,0}' AS last_ts
    FROM jsonb_array_elements(sim_append_ticks.ticks) WITH ORDINALITY AS chunk (body, position)
  ), decided AS (
    SELECT
      sent.*,
      session.last_seq AS seq_before,
      session.last_ts AS ts_before,
      CASE
        WHEN session.id IS NULL THEN 'refused'
        WHEN row_number() OVER (PARTITION BY sent.id ORDER BY sent.position) > 1 THEN 'busy'
        WHEN session.id <> ALL (_locked) THEN 'busy'
        WHEN session.epoch IS DISTINCT FROM sent.epoch THEN 'refused'
        WHEN sent.to_cursor IS NOT DISTINCT FROM sent.from_cursor THEN CASE
          WHEN session.status NOT IN ('created', 'running', 'paused') OR sent.commands = 0 THEN 'refused'
          WHEN sent.commands <= session.commands AND sent.command = ANY (_open_commands) THEN 'refused'
          WHEN sent.commands <= session.commands THEN 'done'
          WHEN sent.commands <> session.commands + 1 OR sent.from_cursor IS DISTINCT FROM session.cursor_ms THEN 'refused'
          WHEN sent.command IS NOT NULL AND sent.command <> ALL (_open_commands) THEN 'refused'
          ELSE 'written'
        END
        WHEN session.status <> 'running' THEN 'refused'
        WHEN sent.to_cursor <= session.cursor_ms THEN 'done'
        WHEN sent.from_cursor IS DISTINCT FROM session.cursor_ms OR sent.to_cursor IS NULL THEN 'refused'
        WHEN sent.commands <> session.commands THEN 'refused'
        ELSE 'written'
      END AS outcome
    FROM sent
    LEFT JOIN sim_sessions session ON session.id = sent.id
  ), written AS (
    SELECT
      decided.*,
      decided.seq_before + decided.events AS seq_after
    FROM decided
    WHERE decided.outcome = 'written'
  ), inserted AS (
    INSERT INTO sim_events (session_id, seq, ts, type, payload)
    SELECT
      written.id,
      written.seq_before + element.number,
      greatest((element.event ->> 0)::bigint, written.ts_before),
      element.event ->> 1,
      element.event -> 2
    FROM written
    CROSS JOIN LATERAL jsonb_array_elements(
      sim_append_ticks.ticks #> ARRAY[(written.position - 1)::text, 'events']
    ) WITH ORDINALITY AS element (event, number)
  ), updated AS (
    UPDATE sim_sessions session
    SET
      last_seq = written.seq_after,
      log_bytes = session.log_bytes + coalesce(written.bytes, 0),
      last_ts = greatest(written.last_ts::bigint, session.last_ts),
      cursor_ms = written.to_cursor,
      commands = written.commands,
      steps_left = session.steps_left - coalesce(written.ticks::integer, 1),
      candles_hash = coalesce(written.candles_hash, session.candles_hash),
      updated_at = now()
    FROM written
    WHERE session.id = written.id
    RETURNING session.id, session.last_seq
  )
  SELECT
    array_agg(decided.id ORDER BY decided.position),
    array_agg(decided.outcome ORDER BY decided.position),
    array_agg(coalesce(written.seq_after, decided.seq_before) ORDER BY decided.position),
    (SELECT string_agg(updated.id || ':' || updated.last_seq, E'\n') FROM updated),
    array_agg(written.id) FILTER (WHERE written.pause IS NOT NULL),
    array_agg(written.pause) FILTER (WHERE written.pause IS NOT NULL),
    array_agg(written.command) FILTER (WHERE written.command IS NOT NULL),
    array_agg(written.seq_before + 1) FILTER (WHERE written.command IS NOT NULL),
    array_agg(written.answer) FILTER (WHERE written.command IS NOT NULL)
  INTO _ids, _outcomes, _last_seqs, _hints, _paused, _pause_reasons, _answered, _answered_seqs, _answers
  FROM decided
  LEFT JOIN written USING (position);

  IF _answered IS NOT NULL THEN
    UPDATE sim_commands command
    SET answered_seq = answered.seq, answer = coalesce(answered.answer, '{}')
    FROM unnest(_answered, _answered_seqs, _answers) AS answered (id, seq, answer)
    WHERE command.id = answered.id;
  END IF;

  -- Postgres refuses payloads of 8,000 bytes: `*` stands for more sessions than that many bytes can name.
  PERFORM sim_notify('sim_events', CASE WHEN length(_hints) < 7900 THEN _hints ELSE '*' END)
  WHERE _hints IS NOT NULL;

  PERFORM sim_transition(paused.id, '{running}', 'paused', paused.reason, 'runner')
  FROM unnest(_paused, _pause_reasons) AS paused (id, reason);

  RETURN QUERY
  SELECT result.position, result.id, result.outcome, result.last_seq
  FROM unnest(_ids, _outcomes, _last_seqs) WITH ORDINALITY AS result (id, outcome, last_seq, position);
END;
$$;

COMMENT ON FUNCTION sim_append_ticks(jsonb) IS 'Append chunks of ticks or a command [{session, epoch, prev, cursor, commands, events: [[ts, type, payload], ...]}, ...], one per session; returns for each written, done, refused or busy.';
