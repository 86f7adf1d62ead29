DROP TABLE sim_audit;
DROP TABLE sim_logins;
DELETE FROM sim_tokens WHERE kind <> 'token' OR scope <> 'trade' OR expires_at IS NOT NULL;
ALTER TABLE sim_tokens DROP COLUMN expires_at, DROP COLUMN session_id, DROP COLUMN scope, DROP COLUMN kind;
COMMENT ON TABLE sim_tokens IS 'Bearer tokens; the token itself is shown once and never stored.';
