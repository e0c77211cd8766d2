-- +goose Up
-- What a provider gets with every request beside its key: a JSON object, from the name
-- of a header to its value; '' for none. A change by hand takes effect like any other.
ALTER TABLE provider_credentials ADD COLUMN headers TEXT NOT NULL DEFAULT '';
DROP TRIGGER provider_credentials_updated;
-- +goose StatementBegin
CREATE TRIGGER provider_credentials_updated AFTER UPDATE OF id, tenant_id, workspace_id, name, kind, base_url, headers ON provider_credentials
BEGIN
    INSERT INTO changes (kind, id) SELECT 'provider', OLD.id UNION SELECT 'provider', NEW.id;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER provider_credentials_updated;
ALTER TABLE provider_credentials DROP COLUMN headers;
-- +goose StatementBegin
CREATE TRIGGER provider_credentials_updated AFTER UPDATE OF id, tenant_id, workspace_id, name, kind, base_url ON provider_credentials
BEGIN
    INSERT INTO changes (kind, id) SELECT 'provider', OLD.id UNION SELECT 'provider', NEW.id;
END;
-- +goose StatementEnd
