-- +goose Up
-- A sign-in without a second factor carries the id of the exception that lets it, and its
-- session ends with that.
ALTER TABLE sessions ADD COLUMN exception_id TEXT NOT NULL DEFAULT '';
CREATE INDEX sessions_by_exception ON sessions (exception_id) WHERE exception_id <> '';
-- An identity that is asserted without a session asks with each request for its person's.
CREATE INDEX exceptions_by_subject ON exceptions (tenant_id, subject_id) WHERE decision = 'approved';

DROP TRIGGER sessions_updated;
-- +goose StatementBegin
CREATE TRIGGER sessions_updated AFTER UPDATE OF id, tenant_id, user_id, token_id, session_hash, expires_at, ended_at, acr, amr, exception_id ON sessions
BEGIN
    INSERT INTO changes (kind, id) SELECT 'session', OLD.id UNION SELECT 'session', NEW.id;
END;
-- +goose StatementEnd

-- As in 00027, for sessions.
-- +goose StatementBegin
CREATE TRIGGER exceptions_end_sessions AFTER UPDATE OF decision, revoked_at, remediated_at ON exceptions
WHEN NEW.revoked_at IS NOT NULL OR NEW.remediated_at IS NOT NULL OR NEW.decision IN ('rejected', 'withdrawn')
BEGIN
    UPDATE sessions SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ended_by = 'exception',
        ended_reason = 'its exception was ' || CASE WHEN NEW.revoked_at IS NOT NULL THEN 'revoked' WHEN NEW.remediated_at IS NOT NULL THEN 'remediated' ELSE NEW.decision END
        WHERE exception_id = OLD.id AND tenant_id = OLD.tenant_id AND ended_at IS NULL;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER exceptions_end_sessions_on_delete AFTER DELETE ON exceptions
BEGIN
    UPDATE sessions SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ended_by = 'exception', ended_reason = 'its exception was deleted'
        WHERE exception_id = OLD.id AND tenant_id = OLD.tenant_id AND ended_at IS NULL;
END;
-- +goose StatementEnd

-- +goose Down
-- What only an exception lets live ends: without it nothing would end it.
UPDATE sessions SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ended_by = 'database', ended_reason = 'its exception is not known any more'
    WHERE exception_id <> '' AND ended_at IS NULL;
DROP TRIGGER exceptions_end_sessions;
DROP TRIGGER exceptions_end_sessions_on_delete;
DROP TRIGGER sessions_updated;
-- +goose StatementBegin
CREATE TRIGGER sessions_updated AFTER UPDATE OF id, tenant_id, user_id, token_id, session_hash, expires_at, ended_at ON sessions
BEGIN
    INSERT INTO changes (kind, id) SELECT 'session', OLD.id UNION SELECT 'session', NEW.id;
END;
-- +goose StatementEnd
DROP INDEX sessions_by_exception;
DROP INDEX exceptions_by_subject;
ALTER TABLE sessions DROP COLUMN exception_id;
