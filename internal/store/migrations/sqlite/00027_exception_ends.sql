-- +goose Up
-- What ends an exception for good ends the tokens that hang on it for good, too: then all
-- that remembers the ends of tokens (the feed, a restore) remembers it. The clock and a
-- control that fails end nothing here: standing is judged by them.
-- +goose StatementBegin
CREATE TRIGGER exceptions_ended AFTER UPDATE OF decision, revoked_at, remediated_at ON exceptions
WHEN NEW.revoked_at IS NOT NULL OR NEW.remediated_at IS NOT NULL OR NEW.decision IN ('rejected', 'withdrawn')
BEGIN
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'exception',
        revoked_reason = 'its exception was ' || CASE WHEN NEW.revoked_at IS NOT NULL THEN 'revoked' WHEN NEW.remediated_at IS NOT NULL THEN 'remediated' ELSE NEW.decision END
        WHERE exception_id = OLD.id AND tenant_id = OLD.tenant_id AND revoked_at IS NULL;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER exceptions_ended_on_delete AFTER DELETE ON exceptions
BEGIN
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'exception', revoked_reason = 'its exception was deleted'
        WHERE exception_id = OLD.id AND tenant_id = OLD.tenant_id AND revoked_at IS NULL;
END;
-- +goose StatementEnd

-- Of one that nobody has approved nothing hangs, before and after: who asks and withdraws
-- makes no replica read anything anew.
DROP TRIGGER exceptions_updated;
-- +goose StatementBegin
CREATE TRIGGER exceptions_updated AFTER UPDATE OF id, tenant_id, rule, subject_kind, subject_id, begins_at, expires_at, decision, revoked_at, failed_at, remediated_at, successor ON exceptions
WHEN OLD.decision = 'approved' OR NEW.decision = 'approved'
BEGIN
    INSERT INTO changes (kind, id) SELECT 'exception', OLD.tenant_id UNION SELECT 'exception', NEW.tenant_id;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER exceptions_ended;
DROP TRIGGER exceptions_ended_on_delete;
DROP TRIGGER exceptions_updated;
-- +goose StatementBegin
CREATE TRIGGER exceptions_updated AFTER UPDATE OF id, tenant_id, rule, subject_kind, subject_id, begins_at, expires_at, decision, revoked_at, failed_at, remediated_at, successor ON exceptions
BEGIN
    INSERT INTO changes (kind, id) SELECT 'exception', OLD.tenant_id UNION SELECT 'exception', NEW.tenant_id;
END;
-- +goose StatementEnd
