-- +goose Up
-- What a provider gets with every request beside its key: a JSON object, from the name
-- of a header to its value; '' for none. A change by hand takes effect like any other.
ALTER TABLE provider_credentials ADD COLUMN headers text COLLATE "C" NOT NULL DEFAULT '';
DROP TRIGGER provider_credentials_updated ON provider_credentials;
CREATE TRIGGER provider_credentials_updated AFTER UPDATE OF id, tenant_id, workspace_id, name, kind, base_url, headers ON provider_credentials
    FOR EACH ROW EXECUTE FUNCTION tenure_change('provider', 'id');

-- +goose Down
DROP TRIGGER provider_credentials_updated ON provider_credentials;
ALTER TABLE provider_credentials DROP COLUMN headers;
CREATE TRIGGER provider_credentials_updated AFTER UPDATE OF id, tenant_id, workspace_id, name, kind, base_url ON provider_credentials
    FOR EACH ROW EXECUTE FUNCTION tenure_change('provider', 'id');
