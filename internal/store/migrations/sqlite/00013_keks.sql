-- +goose Up
-- Which key-encryption key wrapped the data key (empty: the file, before there were
-- others), and what the sealed text is bound to (0: as before the installation was).
ALTER TABLE provider_credentials ADD COLUMN kek TEXT NOT NULL DEFAULT '';
ALTER TABLE provider_credentials ADD COLUMN form INTEGER NOT NULL DEFAULT 0;
ALTER TABLE webhook_secrets ADD COLUMN kek TEXT NOT NULL DEFAULT '';
ALTER TABLE webhook_secrets ADD COLUMN form INTEGER NOT NULL DEFAULT 0;
ALTER TABLE oidc_connections ADD COLUMN kek TEXT NOT NULL DEFAULT '';
ALTER TABLE oidc_connections ADD COLUMN form INTEGER NOT NULL DEFAULT 0;

-- A data key that is wrapped anew opens the same key: nobody need forget it.
DROP TRIGGER provider_credentials_updated;
-- +goose StatementBegin
CREATE TRIGGER provider_credentials_updated AFTER UPDATE OF id, tenant_id, workspace_id, name, kind, base_url, key_sealed, key_version ON provider_credentials
BEGIN
    INSERT INTO changes (kind, id) SELECT 'provider', OLD.id UNION SELECT 'provider', NEW.id;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER provider_credentials_updated;
-- +goose StatementBegin
CREATE TRIGGER provider_credentials_updated AFTER UPDATE OF id, tenant_id, workspace_id, name, kind, base_url, key_sealed, data_key, key_version ON provider_credentials
BEGIN
    INSERT INTO changes (kind, id) SELECT 'provider', OLD.id UNION SELECT 'provider', NEW.id;
END;
-- +goose StatementEnd
ALTER TABLE oidc_connections DROP COLUMN form;
ALTER TABLE oidc_connections DROP COLUMN kek;
ALTER TABLE webhook_secrets DROP COLUMN form;
ALTER TABLE webhook_secrets DROP COLUMN kek;
ALTER TABLE provider_credentials DROP COLUMN form;
ALTER TABLE provider_credentials DROP COLUMN kek;
