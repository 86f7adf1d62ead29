-- Orders from outside: commands are inputs of a session like candles; the log names each and the place it was applied at.
-- depends: 0011-symbols

ALTER TABLE sim_sessions ADD COLUMN commands bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN sim_sessions.commands IS 'How many commands are in the log; an append must name the number it was computed after.';

CREATE TABLE sim_commands (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id      uuid NOT NULL,
    user_id         text NOT NULL,
    action          text NOT NULL CHECK (action IN ('order', 'cancel', 'close')),
    args            jsonb NOT NULL,
    client_order_id text,
    idempotency_key text,
    requested_at    timestamptz NOT NULL DEFAULT now(),
    answered_seq    bigint,
    answer          jsonb,
    UNIQUE (session_id, client_order_id),
    UNIQUE (session_id, idempotency_key)
);

CREATE INDEX sim_commands_waiting ON sim_commands (session_id, id) WHERE answer IS NULL;

COMMENT ON TABLE sim_commands IS 'Commands on their way to the process that applies them, and what was answered.';
COMMENT ON COLUMN sim_commands.id IS 'Order of arrival; the log says in which order commands were applied.';
COMMENT ON COLUMN sim_commands.session_id IS 'Session the command is for.';
COMMENT ON COLUMN sim_commands.user_id IS 'Who sent it.';
COMMENT ON COLUMN sim_commands.action IS 'order, cancel or close.';
COMMENT ON COLUMN sim_commands.args IS 'The request in the names of the API.';
COMMENT ON COLUMN sim_commands.client_order_id IS 'The sender''s own id of the order, unique per session; null once the command was refused.';
COMMENT ON COLUMN sim_commands.idempotency_key IS 'Idempotency-Key of the call, unique per session; null once the command was refused.';
COMMENT ON COLUMN sim_commands.requested_at IS 'Arrival, wall clock.';
COMMENT ON COLUMN sim_commands.answered_seq IS 'seq of the control event that applied it; null while it waits, or when it was refused.';
COMMENT ON COLUMN sim_commands.answer IS 'The orders as they were then, or error and status of a refusal; null while it waits.';
