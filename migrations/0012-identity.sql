-- Tokens that end and tokens that may only read, keys of one session, logins of browsers, and the audit trail.
-- depends: 0011-symbols

ALTER TABLE sim_tokens
    ADD COLUMN kind text NOT NULL DEFAULT 'token' CHECK (kind IN ('token', 'share', 'bot')),
    ADD COLUMN scope text NOT NULL DEFAULT 'trade' CHECK (scope IN ('read', 'trade')),
    ADD COLUMN session_id uuid,
    ADD COLUMN expires_at timestamptz,
    ADD CHECK ((kind = 'token') = (session_id IS NULL)),
    ADD CHECK (kind <> 'share' OR scope = 'read');

CREATE INDEX sim_tokens_session ON sim_tokens (session_id) WHERE session_id IS NOT NULL;

COMMENT ON TABLE sim_tokens IS 'Bearer tokens, and keys of one session; the secret itself is shown once and never stored.';
COMMENT ON COLUMN sim_tokens.kind IS 'token = a bearer token; share = the key of a read-only link; bot = the key of a bot.';
COMMENT ON COLUMN sim_tokens.scope IS 'read = calls that change nothing; trade = every call.';
COMMENT ON COLUMN sim_tokens.session_id IS 'The only session that a key is good for; null = every session of the user.';
COMMENT ON COLUMN sim_tokens.expires_at IS 'From when on it is not valid; null = it has no end.';

CREATE TABLE sim_logins (
    login_hash text PRIMARY KEY,
    user_id    text NOT NULL,
    scope      text NOT NULL CHECK (scope IN ('read', 'trade')),
    token_id   uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);

CREATE INDEX sim_logins_expires ON sim_logins (expires_at);
CREATE INDEX sim_logins_user ON sim_logins (user_id, created_at);

COMMENT ON TABLE sim_logins IS 'Logins of browsers, one per cookie; a logout deletes the row, and the next login deletes those that have ended.';
COMMENT ON COLUMN sim_logins.login_hash IS 'SHA-256 of the random value in the cookie, hex.';
COMMENT ON COLUMN sim_logins.user_id IS 'Who is logged in.';
COMMENT ON COLUMN sim_logins.scope IS 'read or trade, as the token that was exchanged for the cookie.';
COMMENT ON COLUMN sim_logins.token_id IS 'The token that was exchanged; the login ends with it. Null = a JWT.';
COMMENT ON COLUMN sim_logins.created_at IS 'When the user logged in.';
COMMENT ON COLUMN sim_logins.expires_at IS 'From when on the cookie is not valid.';

CREATE TABLE sim_audit (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    user_id    text,
    action     text NOT NULL,
    subject    text,
    via        text NOT NULL CHECK (via IN ('http', 'command')),
    address    text NOT NULL,
    request_id text,
    details    jsonb NOT NULL DEFAULT '{}'
);

CREATE INDEX sim_audit_at ON sim_audit (at);
CREATE INDEX sim_audit_user ON sim_audit (user_id, at);

COMMENT ON TABLE sim_audit IS 'Who did what, as far as no log of a session says it: logins, tokens, keys, deletes, exports, imports. It holds no secrets.';
COMMENT ON COLUMN sim_audit.id IS 'Order of the entries.';
COMMENT ON COLUMN sim_audit.at IS 'When it was done.';
COMMENT ON COLUMN sim_audit.user_id IS 'Who did it; null = unknown, for a refused login.';
COMMENT ON COLUMN sim_audit.action IS 'What was done, such as token.create or session.delete.';
COMMENT ON COLUMN sim_audit.subject IS 'What it was done to: the id of a token, key or session, or a series of candles.';
COMMENT ON COLUMN sim_audit.via IS 'http = a call of the API; command = the command zeon.';
COMMENT ON COLUMN sim_audit.address IS 'Where it came from: the address of the client, or user@host of the command.';
COMMENT ON COLUMN sim_audit.request_id IS 'X-Request-Id of the call; null for commands.';
COMMENT ON COLUMN sim_audit.details IS 'More about it, such as the scope of a token; never a secret.';
