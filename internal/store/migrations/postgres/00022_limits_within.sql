-- +goose Up
-- As in 00014: a row names nothing that is another tenant's. That was said of no table of
-- limits and of use, nor of these columns of others.

-- As in 00010: the functions find this schema's tables and nobody else's.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tenure_within_api_tokens() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM workspaces WHERE id = NEW.workspace_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM users WHERE id = NEW.user_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM service_accounts WHERE id = NEW.service_account_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM api_tokens WHERE id = NEW.family_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM api_tokens WHERE id = NEW.rotated_to AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of api_tokens names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
DROP TRIGGER api_tokens_within ON api_tokens;
CREATE TRIGGER api_tokens_within BEFORE INSERT OR UPDATE OF tenant_id, workspace_id, user_id, service_account_id, family_id, rotated_to ON api_tokens
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_api_tokens();

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tenure_within_sessions() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM users WHERE id = NEW.user_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM api_tokens WHERE id = NEW.token_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM oidc_connections WHERE id = NEW.connection_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of sessions names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
DROP TRIGGER sessions_within ON sessions;
CREATE TRIGGER sessions_within BEFORE INSERT OR UPDATE OF tenant_id, user_id, token_id, connection_id ON sessions
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_sessions();

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tenure_within_token_requests() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM workspaces WHERE id = NEW.workspace_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM service_accounts WHERE id = NEW.service_account_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM api_tokens WHERE id = NEW.token_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of token_requests names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
DROP TRIGGER token_requests_within ON token_requests;
CREATE TRIGGER token_requests_within BEFORE INSERT OR UPDATE OF tenant_id, workspace_id, service_account_id, token_id ON token_requests
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_token_requests();

-- +goose StatementBegin
CREATE FUNCTION tenure_within_model_usage() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM api_tokens WHERE id = NEW.token_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM workspaces WHERE id = NEW.workspace_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM provider_credentials WHERE id = NEW.provider_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM provider_keys WHERE id = NEW.key_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM users WHERE id = NEW.user_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM service_accounts WHERE id = NEW.service_account_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of model_usage names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_within_model_usage() FROM PUBLIC;
CREATE TRIGGER model_usage_within BEFORE INSERT OR UPDATE OF tenant_id, token_id, workspace_id, provider_id, key_id, user_id, service_account_id ON model_usage
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_model_usage();

-- +goose StatementBegin
CREATE FUNCTION tenure_within_usage_limit_requests() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM usage_limits WHERE id = NEW.limit_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of usage_limit_requests names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_within_usage_limit_requests() FROM PUBLIC;
CREATE TRIGGER usage_limit_requests_within BEFORE INSERT OR UPDATE OF tenant_id, limit_id ON usage_limit_requests
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_usage_limit_requests();

-- +goose StatementBegin
CREATE FUNCTION tenure_within_usage_limits() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM workspaces WHERE id = NEW.workspace_id AND tenant_id <> NEW.tenant_id)
        OR NEW.subject_kind = 'tenant' AND NEW.subject_id <> NEW.tenant_id
        OR NEW.subject_kind = 'workspace' AND EXISTS (SELECT 1 FROM workspaces WHERE id = NEW.subject_id AND tenant_id <> NEW.tenant_id)
        OR NEW.subject_kind = 'user' AND EXISTS (SELECT 1 FROM users WHERE id = NEW.subject_id AND tenant_id <> NEW.tenant_id)
        OR NEW.subject_kind = 'service_account' AND EXISTS (SELECT 1 FROM service_accounts WHERE id = NEW.subject_id AND tenant_id <> NEW.tenant_id)
        OR NEW.subject_kind = 'token' AND EXISTS (SELECT 1 FROM api_tokens WHERE id = NEW.subject_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of usage_limits names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_within_usage_limits() FROM PUBLIC;
CREATE TRIGGER usage_limits_within BEFORE INSERT OR UPDATE OF tenant_id, workspace_id, subject_kind, subject_id ON usage_limits
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_usage_limits();

-- What is read and dropped every few seconds is chosen by its span.
ALTER TABLE usage_limit_requests DROP CONSTRAINT usage_limit_requests_pkey, ADD PRIMARY KEY (span, limit_id, replica);

-- +goose Down
-- There is no way down, as in 00010.
