-- +goose Up
-- Sessions end with the connection that opened them, and with the link to the subject
-- who opened them, whoever takes those away: SQL typed by hand too.

-- As in 00010: the functions find this schema's tables and nobody else's.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- +goose StatementBegin
CREATE FUNCTION tenure_connection_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE sessions SET ended_at = now(), ended_by = 'database', ended_reason = TG_ARGV[0]
        WHERE connection_id = OLD.id AND ended_at IS NULL;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

-- What a connection is, is its tenant, its provider, and as whom it asks there.
CREATE TRIGGER oidc_connections_end_on_update AFTER UPDATE OF id, tenant_id, issuer, client_id ON oidc_connections
    FOR EACH ROW WHEN (NEW.id <> OLD.id OR NEW.tenant_id <> OLD.tenant_id OR NEW.issuer <> OLD.issuer OR NEW.client_id <> OLD.client_id)
    EXECUTE FUNCTION tenure_connection_end('OIDC connection changed');
CREATE TRIGGER oidc_connections_end_on_delete AFTER DELETE ON oidc_connections
    FOR EACH ROW EXECUTE FUNCTION tenure_connection_end('OIDC connection deleted');

-- +goose StatementBegin
CREATE FUNCTION tenure_subject_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE sessions SET ended_at = now(), ended_by = 'database', ended_reason = 'unlinked from the identity provider'
        WHERE tenant_id = OLD.tenant_id AND issuer = OLD.issuer AND subject = OLD.subject AND issuer <> '' AND ended_at IS NULL;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER oidc_subjects_end_on_update AFTER UPDATE OF user_id, tenant_id, issuer, subject ON oidc_subjects
    FOR EACH ROW WHEN (OLD.issuer <> '' AND (NEW.user_id <> OLD.user_id OR NEW.tenant_id <> OLD.tenant_id OR NEW.issuer <> OLD.issuer OR NEW.subject <> OLD.subject))
    EXECUTE FUNCTION tenure_subject_end();
CREATE TRIGGER oidc_subjects_end_on_delete AFTER DELETE ON oidc_subjects
    FOR EACH ROW WHEN (OLD.issuer <> '') EXECUTE FUNCTION tenure_subject_end();

CREATE TRIGGER oidc_connections_truncated BEFORE TRUNCATE ON oidc_connections EXECUTE FUNCTION tenure_truncate('TRUE');
CREATE TRIGGER oidc_subjects_truncated BEFORE TRUNCATE ON oidc_subjects EXECUTE FUNCTION tenure_truncate('TRUE');

REVOKE ALL ON FUNCTION tenure_connection_end(), tenure_subject_end() FROM PUBLIC;

-- +goose Down
-- There is no way down, as in 00010.
