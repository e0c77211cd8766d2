-- +goose Up
-- Sessions end with the connection that opened them, and with the link to the subject
-- who opened them, whoever takes those away: SQL typed by hand too.

-- What a connection is, is its tenant, its provider, and as whom it asks there.
-- +goose StatementBegin
CREATE TRIGGER oidc_connections_end_on_update AFTER UPDATE OF id, tenant_id, issuer, client_id ON oidc_connections
    WHEN NEW.id <> OLD.id OR NEW.tenant_id <> OLD.tenant_id OR NEW.issuer <> OLD.issuer OR NEW.client_id <> OLD.client_id
BEGIN
    UPDATE sessions SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ended_by = 'database', ended_reason = 'OIDC connection changed'
        WHERE connection_id = OLD.id AND ended_at IS NULL;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER oidc_connections_end_on_delete AFTER DELETE ON oidc_connections
BEGIN
    UPDATE sessions SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ended_by = 'database', ended_reason = 'OIDC connection deleted'
        WHERE connection_id = OLD.id AND ended_at IS NULL;
    DELETE FROM oidc_domains WHERE connection_id = OLD.id; -- a shell knows no foreign keys
END;
-- +goose StatementEnd

-- INSERT OR REPLACE throws out whoever has the id, the name or the tenant.
-- +goose StatementBegin
CREATE TRIGGER oidc_connections_displaced BEFORE INSERT ON oidc_connections
BEGIN
    UPDATE sessions SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ended_by = 'database', ended_reason = 'OIDC connection changed'
        WHERE ended_at IS NULL AND connection_id IN (SELECT id FROM oidc_connections
            WHERE (id = NEW.id OR name = NEW.name OR tenant_id = NEW.tenant_id)
              AND (id <> NEW.id OR tenant_id <> NEW.tenant_id OR issuer <> NEW.issuer OR client_id <> NEW.client_id));
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER oidc_subjects_end_on_update AFTER UPDATE OF user_id, tenant_id, issuer, subject ON oidc_subjects
    WHEN OLD.issuer <> '' AND (NEW.user_id <> OLD.user_id OR NEW.tenant_id <> OLD.tenant_id OR NEW.issuer <> OLD.issuer OR NEW.subject <> OLD.subject)
BEGIN
    UPDATE sessions SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ended_by = 'database', ended_reason = 'unlinked from the identity provider'
        WHERE tenant_id = OLD.tenant_id AND issuer = OLD.issuer AND subject = OLD.subject AND issuer <> '' AND ended_at IS NULL;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER oidc_subjects_end_on_delete AFTER DELETE ON oidc_subjects WHEN OLD.issuer <> ''
BEGIN
    UPDATE sessions SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ended_by = 'database', ended_reason = 'unlinked from the identity provider'
        WHERE tenant_id = OLD.tenant_id AND issuer = OLD.issuer AND subject = OLD.subject AND issuer <> '' AND ended_at IS NULL;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER oidc_subjects_displaced BEFORE INSERT ON oidc_subjects
BEGIN
    UPDATE sessions SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ended_by = 'database', ended_reason = 'unlinked from the identity provider'
        WHERE ended_at IS NULL AND issuer <> '' AND (tenant_id, issuer, subject) IN (SELECT tenant_id, issuer, subject FROM oidc_subjects
            WHERE (user_id = NEW.user_id OR tenant_id = NEW.tenant_id AND issuer = NEW.issuer AND subject = NEW.subject)
              AND (user_id <> NEW.user_id OR tenant_id <> NEW.tenant_id OR issuer <> NEW.issuer OR subject <> NEW.subject));
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER oidc_subjects_displaced;
DROP TRIGGER oidc_subjects_end_on_delete;
DROP TRIGGER oidc_subjects_end_on_update;
DROP TRIGGER oidc_connections_displaced;
DROP TRIGGER oidc_connections_end_on_delete;
DROP TRIGGER oidc_connections_end_on_update;
