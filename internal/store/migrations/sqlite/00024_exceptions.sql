-- +goose Up
-- Exceptions: one rule does not hold for one thing, from one instant to another. What
-- state one is in is not stored: it follows from the row and the clock.
CREATE TABLE exceptions (
    id                TEXT PRIMARY KEY,
    tenant_id         TEXT NOT NULL,
    title             TEXT NOT NULL,
    rule              TEXT NOT NULL, -- one that is not known opens nothing
    subject_kind      TEXT NOT NULL CHECK (subject_kind IN ('tenant', 'workspace', 'user', 'service_account', 'provider')),
    subject_id        TEXT NOT NULL,
    workspace_id      TEXT NOT NULL DEFAULT '', -- in which the subject lies; '': in none
    for_user          TEXT NOT NULL DEFAULT '', -- the person whom it is for
    reason            TEXT NOT NULL,
    likelihood_before TEXT NOT NULL CHECK (likelihood_before IN ('low', 'medium', 'high')),
    impact_before     TEXT NOT NULL CHECK (impact_before IN ('low', 'medium', 'high')),
    likelihood_after  TEXT NOT NULL CHECK (likelihood_after IN ('low', 'medium', 'high')),
    impact_after      TEXT NOT NULL CHECK (impact_after IN ('low', 'medium', 'high')),
    controls          TEXT NOT NULL DEFAULT '', -- what compensates
    live_check        TEXT NOT NULL DEFAULT '', -- that is run; one that fails ends it
    requested_by_user TEXT NOT NULL DEFAULT '',
    requested_by      TEXT NOT NULL DEFAULT '',
    requested_at      TEXT NOT NULL,
    begins_at         TEXT NOT NULL,
    expires_at        TEXT NOT NULL,
    owner_user_id     TEXT NOT NULL, -- of the remedy
    plan              TEXT NOT NULL,
    remedy_at         TEXT NOT NULL,
    decision          TEXT NOT NULL DEFAULT '' CHECK (decision IN ('', 'approved', 'rejected', 'withdrawn')),
    decided_by_user   TEXT NOT NULL DEFAULT '',
    decided_by        TEXT NOT NULL DEFAULT '',
    decided_at        TEXT,
    decided_why       TEXT NOT NULL DEFAULT '',
    revoked_at        TEXT,
    revoked_by        TEXT NOT NULL DEFAULT '',
    revoked_why       TEXT NOT NULL DEFAULT '',
    failed_at         TEXT, -- what compensates was found failing
    failed_why        TEXT NOT NULL DEFAULT '',
    remediated_at     TEXT,
    remediated_by     TEXT NOT NULL DEFAULT '',
    checked_at        TEXT, -- the live check was run last
    renews            TEXT NOT NULL DEFAULT '', -- id of the one before
    successor         TEXT NOT NULL DEFAULT ''  -- id of the one that took its place, with what hung on it
) STRICT;
CREATE INDEX exceptions_by_tenant ON exceptions (tenant_id, id);
CREATE INDEX exceptions_in_force ON exceptions (expires_at) WHERE decision = 'approved';

-- What deviates carries the id of the exception that lets it.
ALTER TABLE api_tokens ADD COLUMN exception_id TEXT NOT NULL DEFAULT '';
ALTER TABLE workspaces ADD COLUMN exception_id TEXT NOT NULL DEFAULT '';
ALTER TABLE provider_credentials ADD COLUMN exception_id TEXT NOT NULL DEFAULT '';
CREATE INDEX api_tokens_by_exception ON api_tokens (exception_id) WHERE exception_id <> '';

-- +goose StatementBegin
CREATE TRIGGER exceptions_displaced BEFORE INSERT ON exceptions WHEN EXISTS (SELECT 1 FROM exceptions WHERE id = NEW.id)
BEGIN
    INSERT INTO changes (kind, id) SELECT 'exception', tenant_id FROM exceptions WHERE id = NEW.id;
END;
-- +goose StatementEnd

-- One that nobody has decided on opens nothing.
-- +goose StatementBegin
CREATE TRIGGER exceptions_inserted AFTER INSERT ON exceptions WHEN NEW.decision <> ''
BEGIN
    INSERT INTO changes (kind, id) VALUES ('exception', NEW.tenant_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER exceptions_updated AFTER UPDATE OF id, tenant_id, rule, subject_kind, subject_id, begins_at, expires_at, decision, revoked_at, failed_at, remediated_at, successor ON exceptions
BEGIN
    INSERT INTO changes (kind, id) SELECT 'exception', OLD.tenant_id UNION SELECT 'exception', NEW.tenant_id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER exceptions_deleted AFTER DELETE ON exceptions
BEGIN
    INSERT INTO changes (kind, id) VALUES ('exception', OLD.tenant_id);
END;
-- +goose StatementEnd

DROP TRIGGER api_tokens_updated;
-- +goose StatementBegin
CREATE TRIGGER api_tokens_updated AFTER UPDATE OF id, tenant_id, workspace_id, user_id, service_account_id, name, kind, token_hash, scopes, expires_at, revoked_at, models, cidrs, rotated_at, exception_id ON api_tokens
BEGIN
    INSERT INTO changes (kind, id) SELECT 'token', OLD.id UNION SELECT 'token', NEW.id;
END;
-- +goose StatementEnd

DROP TRIGGER workspaces_updated;
-- +goose StatementBegin
CREATE TRIGGER workspaces_updated AFTER UPDATE OF id, tenant_id, name, models, deleted_at, outage_grace_seconds, exception_id ON workspaces
BEGIN
    INSERT INTO changes (kind, id) SELECT 'workspace', OLD.id UNION SELECT 'workspace', NEW.id;
END;
-- +goose StatementEnd

DROP TRIGGER provider_credentials_updated;
-- +goose StatementBegin
CREATE TRIGGER provider_credentials_updated AFTER UPDATE OF id, tenant_id, workspace_id, name, kind, base_url, headers, exception_id ON provider_credentials
BEGIN
    INSERT INTO changes (kind, id) SELECT 'provider', OLD.id UNION SELECT 'provider', NEW.id;
END;
-- +goose StatementEnd

-- +goose Down
-- What only an exception lets live ends: without it nothing would end it.
UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'its exception is not known any more'
    WHERE exception_id <> '' AND revoked_at IS NULL;
UPDATE workspaces SET outage_grace_seconds = 0 WHERE exception_id <> '';
DROP TABLE exceptions;
DROP TRIGGER api_tokens_updated;
-- +goose StatementBegin
CREATE TRIGGER api_tokens_updated AFTER UPDATE OF id, tenant_id, workspace_id, user_id, service_account_id, name, kind, token_hash, scopes, expires_at, revoked_at, models, cidrs, rotated_at ON api_tokens
BEGIN
    INSERT INTO changes (kind, id) SELECT 'token', OLD.id UNION SELECT 'token', NEW.id;
END;
-- +goose StatementEnd
DROP TRIGGER workspaces_updated;
-- +goose StatementBegin
CREATE TRIGGER workspaces_updated AFTER UPDATE OF id, tenant_id, name, models, deleted_at, outage_grace_seconds ON workspaces
BEGIN
    INSERT INTO changes (kind, id) SELECT 'workspace', OLD.id UNION SELECT 'workspace', NEW.id;
END;
-- +goose StatementEnd
DROP TRIGGER provider_credentials_updated;
-- +goose StatementBegin
CREATE TRIGGER provider_credentials_updated AFTER UPDATE OF id, tenant_id, workspace_id, name, kind, base_url, headers ON provider_credentials
BEGIN
    INSERT INTO changes (kind, id) SELECT 'provider', OLD.id UNION SELECT 'provider', NEW.id;
END;
-- +goose StatementEnd
DROP INDEX api_tokens_by_exception;
ALTER TABLE api_tokens DROP COLUMN exception_id;
ALTER TABLE workspaces DROP COLUMN exception_id;
ALTER TABLE provider_credentials DROP COLUMN exception_id;
